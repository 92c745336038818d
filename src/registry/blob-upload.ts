import { createHash } from 'node:crypto';
import { nextPause, pauseFor } from '../net/retry.ts';
import type { Digest } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { blobExists } from './blob-download.ts';
import type { CallOptions, Endpoint } from './client.ts';
import { isPassing } from './errors.ts';
import { accessTo, endpointPath } from './manifest.ts';
import type { SessionResponse } from './session.ts';
import type { UploadSession } from './upload-session.ts';
import {
  askUpload,
  cancelUpload,
  finishUpload,
  openedUpload,
  sendPart,
  startUpload,
} from './upload-session.ts';

export interface BlobToUpload {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** Called for each try of sending, and for each chunk. */
  open(): ByteStream;
  /** Another repository of the same registry that has it. */
  readonly mountFrom?: string | undefined;
}

export interface UploadOptions extends CallOptions {
  /** Bytes sent so far; goes back when a try failed. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

export type UploadOutcome = 'exists' | 'mounted' | 'uploaded';

const MiB = 1024 * 1024;
/** What is sent at once to a registry that takes no whole blob; halved while that is still too much. */
const chunkSize = 16 * MiB;
const smallestChunk = MiB / 2;
/** A line that breaks again and again is tried on as long as so much gets through in between. */
const worthwhile = MiB;

/**
 * R-PUSH-1: HEAD, cross-repository mount, else POST and PUT with the bytes in one stream. When that breaks off, the registry is asked what it
 * has, and gets the rest; where it does not say, it gets all anew. A registry (or a proxy before it) that takes no body of this size
 * gets chunks.
 */
export async function uploadBlob(
  endpoint: Endpoint,
  blob: BlobToUpload,
  options: UploadOptions,
): Promise<UploadOutcome> {
  if (await existsForPush(endpoint, blob.digest, options)) return 'exists';
  const opened = await mount(endpoint, blob, options);
  if (opened === 'mounted') return 'mounted';
  let chunk = Infinity;
  await tries(endpoint, { opened, sent: () => blob.size, ...options }, async (upload, keep) => {
    let current = upload;
    const part = (start: number, size: number): Parameters<typeof sendPart>[2] => ({
      part: { start, size, open: () => slice(blob.open(), { start, size }, options) },
      signal: options.signal,
    });
    try {
      for (let left = blob.size - current.offset; left > Math.max(chunk, current.chunkMinimum);) {
        current = await sendPart(
          endpoint,
          current,
          part(current.offset, Math.max(chunk, current.chunkMinimum)),
        );
        keep(current);
        left = blob.size - current.offset;
      }
      // What has begun with a part must go on with parts.
      if (current.offset > 0 && current.offset < blob.size) {
        current = await sendPart(endpoint, current, part(current.offset, blob.size - current.offset));
        keep(current);
      }
      const rest = current.offset === 0 ? part(0, blob.size).part : undefined;
      await finishUpload(endpoint, current, {
        digest: blob.digest,
        ...(rest === undefined ? {} : { rest }),
        signal: options.signal,
      });
    } catch (error) {
      const smaller = Math.min(chunkSize, chunk / 2);
      if (statusOf(error) !== 413 || smaller < smallestChunk) throw error;
      chunk = smaller;
      throw new TryAgain(error);
    }
  });
  return 'uploaded';
}

/**
 * A blob whose digest shows only at its end: POST, PATCH with the bytes in one stream, PUT with the digest that came out; so making the
 * bytes, hashing and sending them overlap. `open` is called again when a try failed, and gives the same bytes. Where a registry takes no
 * PATCH, the digest is found first.
 */
export async function uploadStream(
  endpoint: Endpoint,
  open: () => ByteStream,
  options: UploadOptions,
): Promise<{ digest: Digest; size: number }> {
  let most = 0;
  const onProgress = (bytes: number): void => {
    most = Math.max(most, bytes);
    options.onProgress?.(bytes);
  };
  try {
    return await tries(endpoint, { sent: () => most, ...options }, async (upload) => {
      const start = upload.offset;
      let seen = measure();
      const sent = await sendPart(endpoint, upload, {
        part: {
          start,
          size: undefined,
          open: () => {
            // Opened again after a 401: what was hashed then was not taken.
            seen = measure();
            return slice(seen.watch(open()), { start }, { ...options, onProgress });
          },
        },
        signal: options.signal,
      });
      const result = seen.result();
      await finishUpload(endpoint, sent, { digest: result.digest, signal: options.signal });
      return result;
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    if (![400, 404, 405, 411, 413, 415, 501].includes(statusOf(error) ?? 0)) throw error;
    const whole = measure();
    for await (const chunk of whole.watch(open())) void chunk;
    const result = whole.result();
    await uploadBlob(endpoint, { ...result, open }, options);
    return result;
  }
}

/** Starts an upload and cancels it. */
export async function checkUpload(endpoint: Endpoint, options: CallOptions): Promise<void> {
  await cancelUpload(endpoint, await startUpload(endpoint, options), options);
}

async function existsForPush(endpoint: Endpoint, digest: Digest, options: CallOptions): Promise<boolean> {
  const access = accessTo(endpoint, 'push', {});
  try {
    return await blobExists(endpoint, digest, { signal: options.signal, access });
  } catch (error) {
    options.signal?.throwIfAborted();
    // Some registries refuse the look at a repository that is yet to be made. The upload tells.
    if (error instanceof BuildError && error.code === 'REGISTRY_ERROR') return false;
    throw error;
  }
}

/** 'mounted', or an upload that the registry opened instead, or undefined when it said neither. */
async function mount(
  endpoint: Endpoint,
  blob: BlobToUpload,
  options: CallOptions,
): Promise<'mounted' | UploadSession | undefined> {
  const from = blob.mountFrom;
  if (from === undefined || from === endpoint.repository) return undefined;
  const query = new URLSearchParams({ mount: blob.digest, from });
  let response: SessionResponse;
  try {
    response = await endpoint.session.send({
      method: 'POST',
      target: endpointPath(endpoint, `blobs/uploads/?${query.toString()}`),
      access: accessTo(endpoint, 'push', { alsoRead: from }),
      expect: [201, 202],
      retry: false,
      signal: options.signal,
    });
  } catch (error) {
    options.signal?.throwIfAborted();
    // A mount only saves work; a push that may not be done at all fails at the next request.
    if (error instanceof BuildError) return undefined;
    throw error;
  }
  await response.discard();
  return response.status === 201 ? 'mounted' : openedUpload(response);
}

/** The same again at once, in another way: what failed was no misfortune. */
class TryAgain extends Error {
  constructor(cause: unknown) {
    super('in another way', { cause });
  }
}

interface Tries extends CallOptions {
  /** Bytes that the registry can have at most. */
  readonly sent: () => number;
  /** An upload that is open already. */
  readonly opened?: UploadSession | undefined;
}

/**
 * As often as the policy allows, when the network or the registry failed; not when it refused. Each try goes on where the registry says that
 * the last one ended. `keep` tells of progress within a try.
 */
async function tries<T>(
  endpoint: Endpoint,
  options: Tries,
  attempt: (upload: UploadSession, keep: (upload: UploadSession) => void) => Promise<T>,
): Promise<T> {
  const { policy } = endpoint.session;
  let upload = options.opened;
  let before = 0;
  for (let number = 0; ;) {
    const current: UploadSession = upload ?? (await startUpload(endpoint, options));
    upload = current;
    try {
      return await attempt(current, (next) => (upload = next));
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof TryAgain) {
        upload = await askUpload(endpoint, upload, options);
        if (upload !== undefined && upload.offset > options.sent()) upload = undefined;
        continue;
      }
      if (!isPassing(error)) throw error;
      const pause = nextPause(policy, number, retryAfterOf(error));
      if (pause === undefined) throw error;
      await pauseFor(pause, options.signal);
      // Bytes that arrived wrong cannot be built upon.
      const damaged = isDamaged(error);
      upload = damaged ? undefined : await askUpload(endpoint, upload, options);
      // A registry that says it has more is wrong, and could go on saying so.
      if (upload !== undefined && upload.offset > options.sent()) upload = undefined;
      const offset = upload?.offset ?? 0;
      number = offset >= before + worthwhile ? 0 : number + 1;
      before = Math.max(before, offset);
    }
  }
}

function statusOf(error: unknown): number | undefined {
  const status = error instanceof BuildError ? error.details['status'] : undefined;
  return typeof status === 'number' ? status : undefined;
}

function retryAfterOf(error: unknown): number | undefined {
  const pause = error instanceof BuildError ? error.details['retryAfter'] : undefined;
  return typeof pause === 'number' ? pause : undefined;
}

function isDamaged(error: unknown): boolean {
  const codes = error instanceof BuildError ? error.details['codes'] : undefined;
  return Array.isArray(codes) && codes.some((code) => /^(?:DIGEST|SIZE)_INVALID$/.test(String(code)));
}

/** `size` bytes from `start` on; tells how many of the whole have been handed out. */
async function* slice(
  stream: ByteStream,
  { start, size = Infinity }: { readonly start: number; readonly size?: number },
  options: UploadOptions,
): AsyncGenerator<Uint8Array> {
  const end = start + size;
  let at = 0;
  for await (const chunk of stream) {
    const from = Math.max(0, start - at);
    const to = Math.min(chunk.length, end - at);
    at += chunk.length;
    if (from < to) {
      options.onProgress?.(Math.min(at, end));
      yield from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to);
    }
    // The whole is read to its end, where its source verifies it.
    if (at > end) return;
  }
}

interface Measure {
  watch(stream: ByteStream): ByteStream;
  result(): { digest: Digest; size: number };
}

function measure(): Measure {
  const hash = createHash('sha256');
  let size = 0;
  return {
    async *watch(stream) {
      for await (const chunk of stream) {
        hash.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    },
    result: () => ({ digest: `sha256:${hash.digest('hex')}`, size }),
  };
}
