import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import type { CallOptions, Endpoint } from './client.ts';
import { accessTo, endpointPath } from './manifest.ts';
import type { RegistryRequest, SessionResponse } from './session.ts';

/** An upload that a registry has opened (distribution-spec, "Pushing blobs"). Every answer may move it to another address. */
export interface UploadSession {
  readonly location: URL;
  /** Bytes that the registry has of the blob. */
  readonly offset: number;
  /** Bytes that a chunk must have at least, but for the last one. */
  readonly chunkMinimum: number;
}

export async function startUpload(endpoint: Endpoint, options: CallOptions): Promise<UploadSession> {
  const response = await endpoint.session.send({
    method: 'POST',
    target: endpointPath(endpoint, 'blobs/uploads/'),
    headers: { 'content-length': '0' },
    access: accessTo(endpoint, 'push', {}),
    expect: [202],
    signal: options.signal,
  });
  await response.discard();
  return openedUpload(response);
}

/** What a 202 to a POST says. */
export function openedUpload(response: SessionResponse): UploadSession {
  const minimum = Number(response.header('oci-chunk-min-length') ?? 0);
  return {
    location: response.location(),
    offset: 0,
    chunkMinimum: Number.isSafeInteger(minimum) && minimum > 0 ? minimum : 0,
  };
}

/**
 * Asks what the registry has of an upload that broke off. undefined: it is lost, or the registry does not say (distribution 2 forgets an
 * upload that it is asked about with another offset than it knows of); a new one must be started.
 */
export async function askUpload(
  endpoint: Endpoint,
  upload: UploadSession,
  options: CallOptions,
): Promise<UploadSession | undefined> {
  let response: SessionResponse;
  try {
    response = await request(endpoint, {
      method: 'GET',
      target: upload.location,
      expect: [200, 202, 204],
      signal: options.signal,
    });
    await response.discard();
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof BuildError && error.code !== 'REGISTRY_UNSAFE') return undefined;
    throw error;
  }
  return advanced(upload, response);
}

/** Part of a blob to send: `size` undefined for a stream of unknown length. */
export interface UploadPart {
  readonly start: number;
  readonly size: number | undefined;
  open(): ByteStream;
}

/** Sends the next part. Its answer must say that the registry has all of it, or nothing about what it has. */
export async function sendPart(
  endpoint: Endpoint,
  upload: UploadSession,
  { part, signal }: { readonly part: UploadPart } & CallOptions,
): Promise<UploadSession> {
  const { start, size } = part;
  const length: Record<string, string> = size === undefined ? {} : { 'content-length': String(size) };
  // A whole stream has no range; a part that is sent after others has.
  const range: Record<string, string> =
    size === undefined || size === 0 ? {} : { 'content-range': `${start}-${start + size - 1}` };
  const response = await request(endpoint, {
    method: 'PATCH',
    target: upload.location,
    headers: { 'content-type': 'application/octet-stream', ...length, ...range },
    body: () => part.open(),
    expect: [201, 202, 204],
    signal,
  });
  await response.discard();
  return { ...upload, location: response.location(), offset: start + (size ?? 0) };
}

/** Ends the upload: by what is left of the blob, or by nothing when all is there. */
export async function finishUpload(
  endpoint: Endpoint,
  upload: UploadSession,
  { digest, rest, signal }: { readonly digest: string; readonly rest?: UploadPart } & CallOptions,
): Promise<void> {
  const url = new URL(upload.location);
  url.searchParams.set('digest', digest);
  const response = await request(endpoint, {
    method: 'PUT',
    target: url,
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(rest?.size ?? 0) },
    ...(rest === undefined ? {} : { body: () => rest.open() }),
    expect: [201, 202, 204],
    signal,
  });
  await response.discard();
}

/** Drops an upload that is not wanted any more. A registry that cannot forgets it in its own time. */
export async function cancelUpload(
  endpoint: Endpoint,
  upload: UploadSession,
  options: CallOptions,
): Promise<void> {
  try {
    const response = await request(endpoint, {
      method: 'DELETE',
      target: upload.location,
      expect: [200, 202, 204, 404, 405],
      signal: options.signal,
    });
    await response.discard();
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof BuildError)) throw error;
  }
}

function request(
  endpoint: Endpoint,
  call: Pick<RegistryRequest, 'method' | 'target' | 'headers' | 'body' | 'expect' | 'signal'>,
): Promise<SessionResponse> {
  // Another try of these starts elsewhere: the caller asks first what has arrived.
  return endpoint.session.send({
    ...call,
    access: accessTo(endpoint, 'push', {}),
    retry: call.method === 'GET',
    patient: call.method === 'PATCH' || call.method === 'PUT',
  });
}

function advanced(upload: UploadSession, response: SessionResponse): UploadSession | undefined {
  const last = /^(?:bytes[ =])?0-(\d{1,15})$/.exec(response.header('range')?.trim() ?? '')?.[1];
  if (last === undefined) return undefined;
  const location = response.header('location') === undefined ? upload.location : response.location();
  // `0-0` is what registries say of no bytes as well as of one.
  return { ...upload, location, offset: last === '0' ? 0 : Number(last) + 1 };
}
