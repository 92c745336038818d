import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { ByteStream } from '../util/streams.ts';
import type { EntryStream } from './entry.ts';

export interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the total of bytes so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** One filesystem layer, whatever holds it. Immutable; accessors may be lazy and memoize, failures are not memoized. */
export interface Layer {
  mediaType(): Promise<string>;
  /** Of the compressed blob. */
  digest(): Promise<Digest>;
  /** Of the uncompressed tar: OCI image-spec, config.md "Layer DiffID". */
  diffId(): Promise<Digest>;
  /** Compressed bytes. */
  size(): Promise<number>;
  /** Verified: throws at its end on a mismatch of digest or size. */
  compressed(options?: OpenOptions): ByteStream;
  /** The uncompressed tar, verified against the diffId. */
  uncompressed(options?: OpenOptions): ByteStream;
  /** Where everybody gets it who may not have it from a registry (R-PULL-4); each manifest that names the layer says so. */
  readonly urls?: readonly string[] | undefined;
}

/** The least a source must know for `toLayer` to derive a whole Layer. */
export type LayerSource =
  | { readonly kind: 'uncompressed'; readonly diffId: Digest; open(options?: OpenOptions): ByteStream }
  | {
      readonly kind: 'compressed';
      readonly descriptor: Descriptor;
      readonly diffId?: Digest;
      open(options?: OpenOptions): ByteStream;
    }
  | { readonly kind: 'entries'; open(): EntryStream };
