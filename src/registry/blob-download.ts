import { createHash } from 'node:crypto';
import type { OpenOptions } from '../image/layer.ts';
import type { HttpClient, HttpResponse } from '../net/http.ts';
import { networkFailure } from '../net/network-error.ts';
import type { RetryPolicy } from '../net/retry.ts';
import { nextPause, pauseFor } from '../net/retry.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isNondistributable } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { verifying } from '../util/streams.ts';
import type { Access } from './auth.ts';
import type { CallOptions, Endpoint } from './client.ts';
import { responseError, transportError } from './errors.ts';
import { accessTo, endpointPath } from './manifest.ts';
import { safeTarget } from './safety.ts';
import type { Slots } from './slots.ts';

export interface DownloadOptions extends OpenOptions {
  /** Told when bytes came that are not those of the digest. */
  readonly onSpoilt?: ((error: BuildError) => void) | undefined;
  readonly http: HttpClient;
  readonly policy: RetryPolicy;
}

interface Source {
  /** Opens the blob's bytes from `offset` on; the answer may start at 0 all the same. */
  open(offset: number): Promise<HttpResponse>;
  readonly slot: Slots;
}

/** Configs and the like: bytes. */
const small = 64 * 1024;

/** A line that breaks again and again is tried on as long as so much gets through in between: bytes. */
const worthwhile = 1024 * 1024;

/** `access`: a push looks with the token that it needs anyway. */
export async function blobExists(
  endpoint: Endpoint,
  digest: Digest,
  options: CallOptions & { readonly access?: Access },
): Promise<boolean> {
  const response = await endpoint.session.send({
    method: 'HEAD',
    target: endpointPath(endpoint, `blobs/${digest}`),
    access: options.access ?? accessTo(endpoint, 'blob', {}),
    expect: [200, 404],
    signal: options.signal,
  });
  await response.discard();
  return response.status === 200;
}

/**
 * One blob, from the first endpoint that has it. A connection that breaks is taken up again where it broke (`Range`), at the next endpoint
 * when this one has no more to give. The bytes are counted and hashed on the way: CHECKSUM_MISMATCH.
 */
export function readBlob(
  endpoints: () => Promise<readonly Endpoint[]>,
  descriptor: Descriptor,
  options: DownloadOptions,
): ByteStream {
  const { digest } = descriptor;
  let known: readonly Endpoint[] = [];
  const wrong = (why: string): BuildError => {
    const message = `the registry sent wrong bytes for the blob ${subjectOf(digest, known)}: ${why}`;
    const error = new BuildError('CHECKSUM_MISMATCH', message);
    options.onSpoilt?.(error);
    return error;
  };
  const bytes = async function* (verify: boolean): ByteStream {
    known = await endpoints();
    yield* download(known, descriptor, { ...options, verify, wrong });
  };
  return verifying(bytes(true), digest, {
    bytes: () => bytes(false),
    wrong: (actual) => wrong(otherDigest(actual)),
  });
}

async function* download(
  endpoints: readonly Endpoint[],
  descriptor: Descriptor,
  options: DownloadOptions & { readonly verify: boolean; readonly wrong: (why: string) => BuildError },
): AsyncGenerator<Uint8Array> {
  const { digest, size } = descriptor;
  const { policy, signal } = options;
  const hash = options.verify ? createHash('sha256') : undefined;
  let offset = 0;
  let failures = 0;
  let resumedAt = 0;
  const sources = [
    ...endpoints.map((endpoint) => fromEndpoint(endpoint, digest, signal)),
    ...foreign(endpoints, descriptor, options),
  ];
  const subject = subjectOf(digest, endpoints);
  for (let index = 0; ;) {
    const source = sources[index];
    if (source === undefined) throw new Error('no source left');
    try {
      using _ = size > small ? await source.slot(signal) : undefined;
      const response = await source.open(offset);
      for await (const chunk of rest(response, offset)) {
        offset += chunk.length;
        if (offset > size) throw options.wrong(`it has more than ${size} bytes`);
        hash?.update(chunk);
        options.onProgress?.(offset);
        yield chunk;
      }
      if (offset < size)
        throw Object.assign(new Error('cut short'), { code: 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' });
      break;
    } catch (error) {
      signal?.throwIfAborted();
      // All of it was here when the connection broke.
      if (offset === size && size > 0 && networkFailure(error) !== undefined) break;
      const last = index === sources.length - 1;
      // What was handed out already cannot be taken back: wrong bytes end it.
      if (error instanceof BuildError && (last || error.code === 'CHECKSUM_MISMATCH')) throw error;
      const broken = networkFailure(error);
      if (broken === undefined && !(error instanceof BuildError)) throw error;
      // A source that throws a BuildError has tried again itself.
      if (broken?.retryable === true && !(error instanceof BuildError)) {
        if (offset >= resumedAt + worthwhile) failures = 0;
        resumedAt = offset;
        const pause = nextPause(policy, failures++);
        if (pause !== undefined) {
          await pauseFor(pause, signal);
          continue;
        }
      }
      if (last) {
        const url = new URL(`https://${endpoints.at(-1)?.session.name ?? 'unknown'}`);
        throw transportError(error, url, { registry: url.host, subject, kind: 'blob' });
      }
      index++;
      failures = 0;
    }
  }
  const actual = hash === undefined ? digest : `sha256:${hash.digest('hex')}`;
  if (actual !== digest) throw options.wrong(otherDigest(actual));
}

function subjectOf(digest: Digest, endpoints: readonly Endpoint[]): string {
  return `${digest.slice(0, 19)} of ${endpoints.at(-1)?.subject ?? ''}`;
}

function otherDigest(actual: string): string {
  return `its bytes have the digest ${actual}`;
}

/** The part of a body after `offset`, whether the server honoured the Range or began anew. */
async function* rest(response: HttpResponse, offset: number): ByteStream & AsyncGenerator<Uint8Array> {
  let skip = offset;
  if (response.status === 206) {
    const start = /^bytes (\d+)-/.exec(response.header('content-range') ?? '')?.[1];
    if (start !== undefined && Number(start) <= offset) skip = offset - Number(start);
    else if (start === undefined) skip = 0;
    else
      throw new BuildError('REGISTRY_ERROR', 'the registry sent another part of a blob than was asked for');
  }
  for await (const chunk of response.body) {
    if (skip >= chunk.length) skip -= chunk.length;
    else {
      yield skip === 0 ? chunk : chunk.subarray(skip);
      skip = 0;
    }
  }
}

function fromEndpoint(endpoint: Endpoint, digest: Digest, signal: AbortSignal | undefined): Source {
  const open = (offset: number): Promise<HttpResponse> =>
    endpoint.session.send({
      method: 'GET',
      target: endpointPath(endpoint, `blobs/${digest}`),
      headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
      access: accessTo(endpoint, 'blob', { subject: `${digest.slice(0, 19)} of ${endpoint.subject}` }),
      expect: [200, 206],
      signal,
    });
  return { open, slot: endpoint.session.downloads };
}

/** Layers that may live elsewhere (R-PULL-4): their URLs are asked without any credentials, after the registry itself. */
function foreign(
  endpoints: readonly Endpoint[],
  descriptor: Descriptor,
  options: DownloadOptions,
): readonly Source[] {
  const own = endpoints.at(-1);
  if (own === undefined || !isNondistributable(descriptor.mediaType)) return [];
  const open = async (location: string, offset: number): Promise<HttpResponse> => {
    const place = await own.session.place();
    let url = safeTarget(location, new URL('https://invalid.invalid'), place);
    const task = { registry: url.host, subject: own.subject, kind: 'blob' } as const;
    for (let hops = 0; hops < 6; hops++) {
      const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
      const response = await options.http.request({ url, headers, signal: options.signal });
      if (response.status === 200 || response.status === 206) return response;
      const next = response.header('location');
      if (next === undefined || response.status >= 400) throw await responseError(response, task, {});
      await response.discard();
      url = safeTarget(next, url, place);
    }
    throw new BuildError('REGISTRY_UNSAFE', `${task.registry} redirects in circles`);
  };
  return (descriptor.urls ?? []).map((location) => ({
    open: (offset) => open(location, offset),
    slot: own.session.downloads,
  }));
}
