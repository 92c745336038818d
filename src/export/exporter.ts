import type { Image } from '../image/image.ts';
import type { StoredLayer } from '../image/layer-store.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Platform } from '../oci/platform.ts';
import type { Emit } from '../progress/event.ts';

/** A finished image with the layers it was made of, base to top. */
export interface PlatformImage {
  readonly platform: Platform;
  readonly image: Image;
  readonly layers: readonly StoredLayer[];
}

export interface ExportResult {
  readonly images: readonly PlatformImage[];
}

export interface ExportContext {
  /** Canonical names, `docker.io/library/app:1`. */
  readonly names: readonly string[];
  /** The step that transfers are shown under. */
  readonly id: string;
  readonly signal: AbortSignal;
  readonly emit: Emit;
}

/** Writes a result somewhere. Returns the descriptor of what others may now refer to; undefined where there is none (a directory). */
export interface Exporter {
  /** As progress shows it: `exporting to oci archive`. */
  readonly name: string;
  export(result: ExportResult, context: ExportContext): Promise<Descriptor | undefined>;
}
