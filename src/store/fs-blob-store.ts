import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import { digestHex, digestOf } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { lend, promisedDigest, promising, readAll, unverified } from '../util/streams.ts';
import { writeFully } from '../util/write-fully.ts';
import type { BlobStore, ExpectedBlob, OpenBlobOptions } from './blob-store.ts';
import { openBlobWriter } from './blob-writer.ts';
import { storeError } from './store-error.ts';

const readSize = 512 * 1024;
/** So much is handed on at once. */
const batch = 256 * 1024;
/** Chunks smaller than `smallChunk` are gathered in pieces of this size. */
const gathering = 64 * 1024;
const smallChunk = 16 * 1024;
/** From here on a thread of its own is worth its start. */
const largeBlob = 16 * 1024 * 1024;

/**
 * Blobs as files `<root>/blobs/sha256/<hex>`. Each is written beside (in `tempDir`, on the same filesystem), synced, and renamed into place,
 * so that readers, other builds and crashes never meet a part of one.
 */
export function openFsBlobStore(
  root: string,
  tempDir: () => Promise<string>,
  /** Called before a file that is there is relied on; false: it is not there any more. */
  keep: (path: string) => boolean = () => true,
): BlobStore {
  const directory = join(root, 'blobs', 'sha256');
  const path = (digest: Digest): string => join(directory, digestHex(digest));
  const size = (digest: Digest): number | undefined =>
    statSync(path(digest), { throwIfNoEntry: false })?.size;
  let serial = 0;

  const remove = async (digest: Digest): Promise<void> => {
    try {
      await unlink(path(digest));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        throw storeError(error, `removing blob ${digest}`);
    }
  };

  const put = async (
    stream: ByteStream,
    expected: ExpectedBlob = {},
    signal?: AbortSignal,
  ): Promise<{ readonly digest: Digest; readonly size: number }> => {
    signal?.throwIfAborted();
    const temporary = join(await tempDir(), `blob-${serial++}`);
    const file = await open(temporary, 'wx', 0o644).catch((error: unknown) => {
      throw storeError(error, 'making a blob');
    });
    try {
      const written = await write(file, stream, { path: temporary, expected, signal });
      await rename(temporary, path(written.digest)).catch((error: unknown) => {
        throw storeError(error, `keeping blob ${written.digest}`);
      });
      return written;
    } catch (error) {
      await file.close().catch(() => undefined);
      // The error that counts is the one at hand; the directory goes with the process anyway.
      await unlink(temporary).catch(() => undefined);
      throw error;
    }
  };

  return {
    path,
    size,
    put,
    has: (digest) => existsSync(path(digest)) && keep(path(digest)),
    open: (digest, options) =>
      readVerified(path(digest), digest, { ...options, onDamage: () => remove(digest) }),
    read: async (digest, limit) => {
      const bytes = size(digest);
      if (bytes !== undefined && bytes > limit) throw tooLarge(digest, limit);
      return readAll(readVerified(path(digest), digest, { onDamage: () => remove(digest) }), limit).catch(
        (error: unknown) => {
          throw error instanceof RangeError ? tooLarge(digest, limit) : error;
        },
      );
    },
    putBytes: async (bytes) => {
      const digest = digestOf(bytes);
      // A size that differs is the mark of a crash of the machine: written again, it is whole.
      if (size(digest) === bytes.length && keep(path(digest))) return digest;
      return (await put(single(bytes), { digest })).digest;
    },
    delete: remove,
  };
}

// oxlint-disable-next-line typescript/require-await -- a stream of one chunk
async function* single(bytes: Uint8Array): ByteStream {
  yield bytes;
}

function tooLarge(digest: Digest, limit: number): BuildError {
  return new BuildError('STORE_FAILED', `blob ${digest} is larger than the ${limit} bytes that it may have`);
}

interface Writing {
  readonly path: string;
  readonly expected: ExpectedBlob;
  readonly signal: AbortSignal | undefined;
}

/** Writes, hashes, checks, syncs and closes. */
async function write(
  file: FileHandle,
  stream: ByteStream,
  writing: Writing,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const { path, expected } = writing;
  // Hashed already on the way here, where the stream says so.
  const promise = promisedDigest(stream) === expected.digest ? expected.digest : undefined;
  const raw = (expected.size ?? 0) < largeBlob || promise === undefined ? undefined : unverified(stream);
  let size: number;
  let digest: Digest;
  const writer = raw && openBlobWriter(path);
  if (raw !== undefined && writer !== undefined) {
    try {
      size = await consume(raw.bytes(), writing, (chunks) => writer.write(chunks));
    } catch (error) {
      writer.abandon();
      throw error;
    }
    digest = `sha256:${await attempt(writer.end())}`;
    if (digest !== expected.digest) throw raw.wrong(digest);
  } else {
    const hash = promise === undefined ? createHash('sha256') : undefined;
    size = await consume(stream, writing, (chunks) => {
      for (const chunk of chunks) {
        hash?.update(chunk);
        writeFully(file.fd, chunk);
      }
    });
    digest = promise ?? `sha256:${hash?.digest('hex') ?? ''}`;
    if (expected.digest !== undefined && digest !== expected.digest) throw mismatch(expected, digest);
  }
  await attempt(file.datasync());
  await attempt(file.close());
  return { digest, size };
}

async function attempt<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw storeError(error, 'writing a blob');
  }
}

/** Hands the stream's chunks to `take`, several at once. Returns the size. Throws CHECKSUM_MISMATCH when it is not the expected one. */
async function consume(
  stream: ByteStream,
  { expected, signal }: Writing,
  take: (chunks: readonly Uint8Array[]) => Promise<void> | void,
): Promise<number> {
  let size = 0;
  let waiting: Uint8Array[] = [];
  let waitingSize = 0;
  let gathered: Uint8Array | undefined;
  let fill = 0;
  const gatherNoMore = (): void => {
    if (gathered !== undefined) waiting.push(gathered.subarray(0, fill));
    gathered = undefined;
    fill = 0;
  };
  const add = (chunk: Uint8Array): void => {
    waitingSize += chunk.length;
    if (chunk.length >= smallChunk || fill + chunk.length > gathering) gatherNoMore();
    if (chunk.length >= smallChunk) waiting.push(chunk);
    else {
      // Copied: it may be a part of a buffer that its source uses anew. Sockets and files give larger ones, for keeps.
      (gathered ??= Buffer.allocUnsafeSlow(gathering)).set(chunk, fill);
      fill += chunk.length;
    }
  };
  const drain = async (): Promise<void> => {
    gatherNoMore();
    const chunks = waiting;
    waiting = [];
    waitingSize = 0;
    try {
      await take(chunks);
    } catch (error) {
      throw storeError(error, 'writing a blob');
    }
  };
  for await (const chunk of stream) {
    signal?.throwIfAborted();
    size += chunk.length;
    if (expected.size !== undefined && size > expected.size)
      throw mismatch(expected, `more than ${expected.size} bytes`);
    add(chunk);
    if (waitingSize >= batch) await drain();
  }
  if (waitingSize > 0) await drain();
  signal?.throwIfAborted();
  if (expected.size !== undefined && size !== expected.size) throw mismatch(expected, `${size} bytes`);
  return size;
}

function mismatch(expected: ExpectedBlob, got: string): BuildError {
  const wanted = [expected.digest, expected.size === undefined ? undefined : `${expected.size} bytes`];
  return new BuildError('CHECKSUM_MISMATCH', `expected ${wanted.filter(Boolean).join(', ')}, got ${got}`, {
    details: { ...expected },
  });
}

interface Reading extends OpenBlobOptions {
  readonly onDamage: () => Promise<void>;
}

function readVerified(path: string, digest: Digest, options: Reading): ByteStream {
  return promising(readAndVerify(path, digest, options), digest);
}

async function* readAndVerify(path: string, digest: Digest, options: Reading): ByteStream {
  const doing = `reading blob ${digest}`;
  const file = await open(path, 'r').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw storeError(error, doing);
    throw new BuildError('STORE_FAILED', `blob ${digest} is not in the store`, { cause: error });
  });
  try {
    const hash = createHash('sha256');
    const free: Buffer[] = [];
    let total = 0;
    for (;;) {
      options.signal?.throwIfAborted();
      // A new buffer each time, unless one was given back: consumers may keep what they get.
      const buffer = free.pop() ?? Buffer.allocUnsafeSlow(readSize);
      const { bytesRead } = await file.read(buffer, 0, readSize).catch((error: unknown) => {
        throw storeError(error, doing);
      });
      if (bytesRead === 0) break;
      const chunk = buffer.subarray(0, bytesRead);
      hash.update(chunk);
      total += bytesRead;
      options.onProgress?.(total);
      yield lend(chunk, () => free.push(buffer));
    }
    if (`sha256:${hash.digest('hex')}` === digest) return;
    await options.onDamage();
    throw new BuildError('STORE_FAILED', `blob ${digest} of the store was damaged and has been dropped`, {
      hint: 'run the command again: what was lost is fetched or built anew',
    });
  } finally {
    await file.close();
  }
}
