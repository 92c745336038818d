import { createHash } from 'node:crypto';
import { pauseFor } from '../net/retry.ts';
import type { Digest } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { blobExists } from './blob-download.ts';
import type { CallOptions, Endpoint } from './client.ts';
import { accessTo, endpointPath } from './manifest.ts';
import type { SessionResponse } from './session.ts';

export interface BlobToUpload {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** Called for each try of sending. */
  open(): ByteStream;
  /** Another repository of the same registry that has it. */
  readonly mountFrom?: string | undefined;
}

export interface UploadOptions extends CallOptions {
  /** Bytes sent so far; starts again at 0 when a try failed. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

export type UploadOutcome = 'exists' | 'mounted' | 'uploaded';

// Storage behind a registry may take long to digest what it was given.
const patience = { headers: 600_000 };

/** R-PUSH-1: HEAD, cross-repository mount, else POST and PUT with the bytes in one stream. */
export async function uploadBlob(
  endpoint: Endpoint,
  blob: BlobToUpload,
  options: UploadOptions,
): Promise<UploadOutcome> {
  if (await existsForPush(endpoint, blob.digest, options)) return 'exists';
  let session = await mount(endpoint, blob, options);
  if (session === 'mounted') return 'mounted';
  return tries<UploadOutcome>(endpoint, options, async () => {
    // A session that took half of the bytes is not used again: what it has is not known.
    const location = session ?? (await startUpload(endpoint, options));
    session = undefined;
    const url = new URL(location);
    url.searchParams.set('digest', blob.digest);
    const response = await endpoint.session.send({
      method: 'PUT',
      target: url,
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(blob.size) },
      body: () => counted(blob.open(), options),
      access: access(endpoint),
      expect: [201, 202, 204],
      retry: false,
      timeouts: patience,
      signal: options.signal,
    });
    await response.discard();
    return 'uploaded';
  });
}

/** A blob of unknown digest: POST, PATCH with the bytes in one stream, PUT with the digest that came out. */
export async function uploadStream(
  endpoint: Endpoint,
  open: () => ByteStream,
  options: UploadOptions,
): Promise<{ digest: Digest; size: number }> {
  return tries(endpoint, options, async () => {
    const location = await startUpload(endpoint, options);
    let hash = createHash('sha256');
    let size = 0;
    const patched = await endpoint.session.send({
      method: 'PATCH',
      target: location,
      headers: { 'content-type': 'application/octet-stream' },
      body: () => {
        // Opened again after a 401: what was hashed then was not taken.
        hash = createHash('sha256');
        size = 0;
        return counted(open(), options, (chunk) => {
          hash.update(chunk);
          size += chunk.length;
        });
      },
      access: access(endpoint),
      expect: [202, 204],
      retry: false,
      timeouts: patience,
      signal: options.signal,
    });
    await patched.discard();
    const digest: Digest = `sha256:${hash.digest('hex')}`;
    const url = patched.location();
    url.searchParams.set('digest', digest);
    const response = await endpoint.session.send({
      method: 'PUT',
      target: url,
      headers: { 'content-length': '0' },
      access: access(endpoint),
      expect: [201, 202, 204],
      retry: false,
      timeouts: patience,
      signal: options.signal,
    });
    await response.discard();
    return { digest, size };
  });
}

/** Starts an upload and cancels it. */
export async function checkUpload(endpoint: Endpoint, options: CallOptions): Promise<void> {
  const location = await startUpload(endpoint, options);
  try {
    const response = await endpoint.session.send({
      method: 'DELETE',
      target: location,
      access: access(endpoint),
      expect: [200, 202, 204, 404, 405],
      retry: false,
      signal: options.signal,
    });
    await response.discard();
  } catch (error) {
    // The answer is known already; sessions that nobody ends time out at the registry.
    options.signal?.throwIfAborted();
    if (!(error instanceof BuildError)) throw error;
  }
}

async function existsForPush(endpoint: Endpoint, digest: Digest, options: CallOptions): Promise<boolean> {
  try {
    return await blobExists(endpoint, digest, { signal: options.signal, access: access(endpoint) });
  } catch (error) {
    options.signal?.throwIfAborted();
    // Some registries refuse the look at a repository that is yet to be made. The upload tells.
    if (error instanceof BuildError && error.code === 'REGISTRY_ERROR') return false;
    throw error;
  }
}

/** 'mounted', or the URL of an upload that the registry opened instead, or undefined when it said neither. */
async function mount(
  endpoint: Endpoint,
  blob: BlobToUpload,
  options: CallOptions,
): Promise<'mounted' | URL | undefined> {
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
  return response.status === 201 ? 'mounted' : response.location();
}

async function startUpload(endpoint: Endpoint, options: CallOptions): Promise<URL> {
  const response = await endpoint.session.send({
    method: 'POST',
    target: endpointPath(endpoint, 'blobs/uploads/'),
    headers: { 'content-length': '0' },
    access: access(endpoint),
    expect: [202],
    signal: options.signal,
  });
  await response.discard();
  return response.location();
}

function access(endpoint: Endpoint): ReturnType<typeof accessTo> {
  return accessTo(endpoint, 'push', {});
}

/** As often as the policy allows, when the network or the registry failed; not when it refused. */
async function tries<T>(endpoint: Endpoint, options: CallOptions, attempt: () => Promise<T>): Promise<T> {
  for (let number = 0; ; number++) {
    try {
      return await attempt();
    } catch (error) {
      options.signal?.throwIfAborted();
      const delay = endpoint.session.policy.delays[number];
      if (delay === undefined || !isPassing(error)) throw error;
      await pauseFor(delay, options.signal);
    }
  }
}

function isPassing(error: unknown): boolean {
  if (!(error instanceof BuildError)) return false;
  const { status, codes, passing } = error.details;
  // The registry lost the upload, or got it in pieces that do not fit: a new one may do.
  const lost = Array.isArray(codes) && codes.some((code) => /^BLOB_UPLOAD_/.test(String(code)));
  return passing === true || lost || (typeof status === 'number' && (status >= 500 || status === 408));
}

async function* counted(
  stream: ByteStream,
  options: UploadOptions,
  see?: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const chunk of stream) {
    see?.(chunk);
    sent += chunk.length;
    options.onProgress?.(sent);
    yield chunk;
  }
}
