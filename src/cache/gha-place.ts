import { randomUUID } from 'node:crypto';
import { manifestLimit } from '../oci/decode.ts';
import { digestHex, digestOf } from '../oci/digest.ts';
import type { HttpClient } from '../net/http.ts';
import type { RetryPolicy } from '../net/retry.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { streamOf } from '../util/streams.ts';
import type { CachePlace } from './place.ts';
import { invalid } from './remote-format.ts';
import { callService } from './service.ts';

export interface GhaPlace {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly scope?: string | undefined;
  /** Milliseconds. */
  readonly timeout?: number | undefined;
}

const answerLimit = 64 * 1024;
/** Entries of one version alone see each other: that of this format. */
const version = digestHex(digestOf('tsbuild.cache/1'));

/**
 * A cache in GitHub's cache service (KB-4), by version 2 of its API: entries have a key and never change. Blobs have keys by digest; each
 * export adds a document, and the newest counts. Throws UNSUPPORTED_HERE where address or token are not known.
 */
export function ghaPlace(
  options: GhaPlace,
  {
    http,
    env,
    retry,
  }: { readonly http: HttpClient; readonly env: NodeJS.ProcessEnv; readonly retry?: RetryPolicy },
): CachePlace {
  const { scope = 'tsbuild', timeout = 600_000 } = options;
  const base = options.url ?? env['ACTIONS_RESULTS_URL'];
  const token = options.token ?? env['ACTIONS_RUNTIME_TOKEN'];
  if (base === undefined || token === undefined) {
    throw new BuildError(
      'UNSUPPORTED_HERE',
      'a cache of type=gha needs the address and token of a job of GitHub Actions',
      {
        hint: 'pass ACTIONS_RESULTS_URL and ACTIONS_RUNTIME_TOKEN on to the step; a server that has ACTIONS_CACHE_URL alone is too old',
      },
    );
  }
  const root = URL.parse('twirp/github.actions.results.api.v1.CacheService/', base.replace(/\/?$/, '/'));
  if (root === null) throw new BuildError('USAGE', `\`${base}\` is no URL of a cache service`);
  const service = { name: "GitHub's cache service", http, retry };
  const storage = { name: "the storage of GitHub's cache service", http, retry };
  // The scope is no prefix of another one as a hash.
  const documents = `tsbuild-index-${digestHex(digestOf(scope)).slice(0, 32)}-`;
  const within = (signal?: AbortSignal): AbortSignal =>
    signal === undefined
      ? AbortSignal.timeout(timeout)
      : AbortSignal.any([signal, AbortSignal.timeout(timeout)]);

  /** undefined: the service says that it exists already, or does not. */
  const call = async (
    method: string,
    body: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, unknown>> | undefined> => {
    const request = {
      method: 'POST',
      url: new URL(method, root),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ ...body, version }),
      signal,
    } as const;
    const response = await callService(service, () => request, [200, 404, 409]);
    const bytes = await response.bytes(answerLimit).catch(() => Buffer.from(''));
    if (response.status !== 200) return undefined;
    let answer: unknown;
    try {
      answer = JSON.parse(bytes.toString());
    } catch {
      answer = undefined;
    }
    if (typeof answer !== 'object' || answer === null) throw invalid('the service gave no JSON');
    const fields = answer as Readonly<Record<string, unknown>>;
    return fields['ok'] === true ? fields : undefined;
  };
  const find = async (key: string, signal: AbortSignal): Promise<string | undefined> => {
    const isPrefix = key.endsWith('-');
    const found = await call(
      'GetCacheEntryDownloadURL',
      { key, restore_keys: isPrefix ? [key] : [] },
      signal,
    );
    const { signed_download_url: url, matched_key: matched } = found ?? {};
    if (typeof url !== 'string' || url === '') return undefined;
    return isPrefix || matched === undefined || matched === '' || matched === key ? url : undefined;
  };
  const send = async (
    key: string,
    blob: { readonly size: number; open(): ByteStream },
    given: AbortSignal,
  ): Promise<void> => {
    const signal = within(given);
    const { signed_upload_url: url } = (await call('CreateCacheEntry', { key }, signal)) ?? {};
    // Another job has it, or is sending it.
    if (typeof url !== 'string') return;
    const headers = { 'content-length': String(blob.size), 'x-ms-blob-type': 'BlockBlob' };
    const put = { method: 'PUT', url, signal, headers, body: () => blob.open() } as const;
    await (await callService(storage, () => put, [200, 201])).discard();
    const done = await call('FinalizeCacheEntryUpload', { key, size_bytes: String(blob.size) }, signal);
    if (done === undefined)
      throw new BuildError('REGISTRY_ERROR', `${service.name} did not take the entry ${key}`);
  };

  return {
    name: `gha cache ${scope}`,
    readManifest: async (given) => {
      const signal = within(given.signal);
      const url = await find(documents, signal);
      if (url === undefined) return undefined;
      const response = await callService(storage, () => ({ url, signal }), [200, 404]);
      if (response.status === 200) return { bytes: await response.bytes(manifestLimit) };
      await response.discard();
      return undefined;
    },
    openBlob: async function* ({ digest }, { signal: given, onProgress } = {}) {
      const signal = within(given);
      const url = await find(`tsbuild-blob-${digest}`, signal);
      if (url === undefined) throw new BuildError('REGISTRY_ERROR', `${service.name} has lost ${digest}`);
      const { body } = await callService(storage, () => ({ url, signal }), [200]);
      let total = 0;
      for await (const chunk of body) {
        yield chunk;
        onProgress?.((total += chunk.length));
      }
    },
    keepBlob: async (blob, { signal, onProgress }) => {
      const key = `tsbuild-blob-${blob.digest}`;
      if ((await find(key, within(signal))) !== undefined) return;
      await send(key, blob, signal);
      onProgress?.(blob.size);
    },
    putManifest: async ({ bytes }, { signal }) => {
      const blob = { size: bytes.length, open: () => streamOf(bytes) };
      await send(`${documents}${Date.now()}-${randomUUID()}`, blob, signal);
    },
  };
}
