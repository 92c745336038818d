import type { OpenOptions } from '../image/layer.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Repository } from '../registry/client.ts';
import type { ByteStream } from '../util/streams.ts';

/** The document that names what a cache has: an OCI manifest or index, or the manifest of an image with an inline cache. */
export interface CacheManifest {
  /** As the place says; undefined: it says nothing. */
  readonly mediaType?: string;
  readonly bytes: Uint8Array;
}

export interface BlobToKeep {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** Called for each try of sending. */
  open(): ByteStream;
}

export interface PlaceCall {
  readonly signal: AbortSignal;
}

/**
 * Where a cache is kept for other machines: one document under a name, and blobs by digest. What comes out of it is not verified: its
 * readers do. Everything throws a BuildError, or the signal's reason.
 */
export interface CachePlace {
  /** For people: `registry cache ghcr.io/me/app:cache`. */
  readonly name: string;
  /** Where blobs can be mounted from within one registry; undefined: it is no registry. */
  readonly repository?: Repository | undefined;
  /** undefined: there is none. At most `manifestLimit` bytes (oci/decode.ts). */
  readManifest(call: PlaceCall): Promise<CacheManifest | undefined>;
  openBlob(blob: Descriptor, options?: OpenOptions): ByteStream;
  /** Reads its bytes only where the place does not have it. */
  keepBlob(blob: BlobToKeep, call: PlaceCall & Pick<OpenOptions, 'onProgress'>): Promise<void>;
  /** Replaces the document; called when all that it names is there. */
  putManifest(manifest: Required<CacheManifest>, call: PlaceCall): Promise<void>;
}
