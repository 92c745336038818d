import type { Digest } from '../oci/digest.ts';
import type { ByteStream } from '../util/streams.ts';

export interface OpenBlobOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the total of bytes so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** What a blob must turn out to be. */
export interface ExpectedBlob {
  readonly digest?: Digest | undefined;
  readonly size?: number | undefined;
}

/** Bytes by their digest (OCI image-spec, image-layout.md "Blobs"). A blob is there whole or not at all, also after a crash. */
export interface BlobStore {
  has(digest: Digest): boolean;
  /** The file of a blob, whether it is there or not. For programs that take a file; its bytes are not verified. */
  path(digest: Digest): string;
  /** Bytes; undefined when it is not there. */
  size(digest: Digest): number | undefined;
  /** Verified: throws STORE_FAILED at its end when the bytes are not those of the digest (and drops the blob, so that it can be made
   * again), or when it is not there. */
  open(digest: Digest, options?: OpenBlobOptions): ByteStream;
  /** The whole blob, verified. Throws STORE_FAILED also when it has more than `limit` bytes. */
  read(digest: Digest, limit: number): Promise<Uint8Array>;
  /** Consumes the stream and keeps its bytes. Throws CHECKSUM_MISMATCH when they are not the expected ones, DISK_FULL, STORE_FAILED, the
   * signal's reason, or the stream's own error; then nothing is left behind. */
  put(
    stream: ByteStream,
    expected?: ExpectedBlob,
    signal?: AbortSignal,
  ): Promise<{ readonly digest: Digest; readonly size: number }>;
  /** Keeps bytes that are at hand; writes nothing when the store has them. */
  putBytes(bytes: Uint8Array): Promise<Digest>;
  /** Nothing there is no error. */
  delete(digest: Digest): Promise<void>;
}
