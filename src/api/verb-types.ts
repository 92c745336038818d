import type { CheckRule } from '../frontend/checks/rules.ts';
import type { StageOutline, TargetEntry } from '../frontend/outline.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { ImageConfig } from '../oci/config.ts';
import type { Diagnostic } from '../progress/event.ts';
import type { BuildError } from '../util/build-error.ts';
import type { SourceText } from '../util/source.ts';
import type { CommonOptions } from './types.ts';

// What the functions beside `build` take and give.

/** An image of the store. */
export interface ImageSummary {
  /** Canonical name; undefined for an image without one. */
  readonly name: string | undefined;
  readonly digest: Digest;
  readonly imageId: Digest;
  readonly created: string | undefined;
  /** Compressed bytes of all blobs. */
  readonly size: number;
  readonly platform: string;
}

export interface ImageDetails extends ImageSummary {
  readonly names: readonly string[];
  readonly descriptor: Descriptor;
  readonly manifest: unknown;
  readonly config: ImageConfig;
}

/** One line of `tsbuild history`, newest first. */
export interface HistoryLine {
  readonly created: string | undefined;
  readonly createdBy: string;
  readonly comment: string | undefined;
  /** Compressed bytes; 0 for instructions without a layer. */
  readonly size: number;
  readonly layer: Digest | undefined;
}

export interface RunOptions extends CommonOptions {
  readonly image: string;
  readonly args?: readonly string[] | undefined;
  /** `K=V`, or `K` for the value in `env`. */
  readonly environment?: readonly string[] | undefined;
  /** `host:container[:ro]`. */
  readonly volumes?: readonly string[] | undefined;
  readonly workdir?: string | undefined;
  readonly user?: string | undefined;
  /** Replaces the image's; one word, as docker's flag. */
  readonly entrypoint?: string | undefined;
  /** `isolated`: as `default`, which then is never the host's: NETWORK_UNAVAILABLE where this host cannot give a network of its own. */
  readonly network?: 'default' | 'none' | 'host' | 'isolated' | undefined;
  readonly hostname?: string | undefined;
  readonly interactive?: boolean | undefined;
  /** With `interactive`: gives it a terminal of its own, on the one that this process has; USAGE where it has none. */
  readonly tty?: boolean | undefined;
  readonly runtime?: string | undefined;
  /**
   * `chroot`: steps run without namespaces, for containers whose root may make none. Never chosen by itself: such a step is held back by
   * nothing. Default: the best sandbox that works here.
   */
  readonly isolation?: 'default' | 'chroot' | undefined;
  /** Called when the image is there, before the command starts. */
  readonly onReady?: (() => void) | undefined;
  /** Not called when interactive: then the caller's own terminal is used. While a promise that it returns is open, no more is read of that stream. */
  readonly onOutput?: ((stream: 'stdout' | 'stderr', data: Uint8Array) => unknown) | undefined;
}

/** One line of `tsbuild doctor`. */
export interface DoctorCheck {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'missing';
  readonly detail: string;
  /** The one command or setting that would help. */
  readonly fix?: string | undefined;
}

export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
  /** The runtime that RUN steps would use here. */
  readonly runtime: string | undefined;
}

/** What the build checks found in a Dockerfile (6.3). */
export interface CheckResult {
  /** With `fix`, the new text. Nothing is written. */
  readonly source: SourceText;
  /** In source order; with `fix`, what is left. */
  readonly findings: readonly Diagnostic[];
  /** Why it cannot be built; several faults of one file each stand alone. */
  readonly errors: readonly BuildError[];
  /** Base images that the store does not know: what they set is not known to the checks either. */
  readonly unknownBases: readonly string[];
  /** With `fix`, when anything could be changed: what it was changed for. */
  readonly fixed?: {
    readonly findings: readonly Diagnostic[];
    /** The text as it was, and what was found there that has no fix. */
    readonly before: { readonly source: SourceText; readonly findings: readonly Diagnostic[] };
  };
}

/** One build check. */
export interface CheckRuleInfo extends CheckRule {
  readonly name: string;
  readonly url?: string;
}

/** What a build of one target takes (I-1). Ranges are those of the Dockerfile. */
export interface Outline extends StageOutline {
  readonly source: SourceText;
}

/** The stages of a Dockerfile that can be built: the named ones, and the last (I-2). */
export interface TargetList {
  readonly source: SourceText;
  readonly targets: readonly TargetEntry[];
}

export type GraphFormat = 'text' | 'json' | 'dot' | 'mermaid';
