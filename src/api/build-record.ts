import type { Digest } from '../oci/digest.ts';
import type { VertexEvent } from '../progress/event.ts';
import type { MissReason } from '../progress/miss-reason.ts';
import type { BuildOptions, CommonOptions } from './types.ts';

// The public types of the history of builds, and of explaining.

/** One step of a build that was, or that would be. Times are milliseconds since the epoch. */
export interface BuildStep {
  /** From 1 without gaps, in the order of the build graph; 0: a build context, which is no step of the Dockerfile. */
  readonly number: number;
  /** The digest of its vertex: the same text for the same step on the same inputs. */
  readonly id: Digest;
  /** `[build 2/5] RUN make`. */
  readonly name: string;
  /** Of the Dockerfile, or of whatever else the instruction comes from. Lines count from 1. */
  readonly file?: string;
  readonly line?: number;
  readonly endLine?: number;
  /** What it is compared by across builds. */
  readonly place?: string;
  /** `running`: in a dry run, that it would be run. */
  readonly state: VertexEvent['state'];
  /** Where a cached result came from, when not from this store. */
  readonly from?: string;
  /** Why it was run, for people. */
  readonly reason?: string;
  /** The same as data. */
  readonly miss?: MissReason;
  readonly error?: string;
  readonly key?: Digest;
  readonly started?: number;
  readonly ended?: number;
  /** Of its output, which is kept whole; absent: it had none. */
  readonly logBytes?: number;
}

/** A build of the history. */
export interface BuildRecord {
  /** Newer builds have greater ids. */
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly started: number;
  readonly ended?: number;
  /** `interrupted`: by the user, or its process was killed. */
  readonly status: 'running' | 'done' | 'failed' | 'interrupted';
  readonly error?: { readonly code: string; readonly message: string; readonly hint?: string };
  /** An absolute path, a URL, or `-` for what came through a pipe. */
  readonly context: string;
  readonly dockerfile: string;
  readonly target: string | undefined;
  readonly platform?: string;
  /** Canonical names given; without success, those that were asked for. */
  readonly names: readonly string[];
  readonly digest?: Digest | undefined;
  readonly imageId?: Digest | undefined;
  readonly steps: readonly BuildStep[];
}

export interface BuildsOptions extends CommonOptions {
  /** An id, or a beginning that no other has; `latest`, which is the default. */
  readonly build?: string | undefined;
}

/**
 * Which build: a dry run of these options; without `dryRun` the last one that was done with `context` and `dockerfile`, or of all where neither
 * is given, or `build`.
 */
export interface ExplainBuildOptions extends BuildOptions {
  readonly dryRun?: boolean | undefined;
  readonly build?: string | undefined;
  /** One step: a number, `stage k/n`, `Dockerfile:LINE`, `:LINE` or a part of the name. */
  readonly step?: string | undefined;
}

export interface ExplainedStep extends BuildStep {
  readonly verdict: 'cached' | 'run' | 'failed' | 'cancelled' | 'waiting';
  /** In a dry run: it may turn out to be cached, when the step that it builds on gives what it gave before. */
  readonly maybe?: true;
}

export interface BuildExplanation {
  /** undefined: a dry run. */
  readonly build: Omit<BuildRecord, 'steps'> | undefined;
  /** In the order of the build graph; build contexts are left out. */
  readonly steps: readonly ExplainedStep[];
}
