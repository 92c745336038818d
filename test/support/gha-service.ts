import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { readAll } from '../../src/util/streams.ts';
import { startHttpServer } from './http-server.ts';

export interface GhaService extends AsyncDisposable {
  /** For ACTIONS_RESULTS_URL. */
  readonly url: string;
  /** For ACTIONS_RUNTIME_TOKEN. */
  readonly token: string;
  /** Keys of finished entries, in the order in which they were made. */
  readonly keys: readonly string[];
  /** What went wrong: calls that the real service would refuse. */
  readonly faults: readonly string[];
}

interface Entry {
  readonly key: string;
  readonly version: string;
  bytes: Buffer | undefined;
  finished: boolean;
}

/**
 * GitHub's cache service as its published protocol says (actions/toolkit, results/api/v1/cache.proto, Twirp with JSON): entries are made
 * once, their bytes go to a signed URL as an Azure block blob, they are found by their key or by a prefix of it once they are finished, the
 * newest first. The storage knows no token but the one in its URL.
 */
export async function startGhaService(): Promise<GhaService> {
  const token = randomUUID();
  const signature = randomUUID();
  const entries: Entry[] = [];
  const faults: string[] = [];
  const json = (response: ServerResponse, status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const find = (key: string, version: string, prefix: boolean): Entry | undefined =>
    entries.findLast(
      (entry) =>
        entry.finished &&
        entry.version === version &&
        (prefix ? entry.key.startsWith(key) : entry.key === key),
    );
  const call = (method: string, body: Readonly<Record<string, unknown>>, response: ServerResponse): void => {
    const { key, version, restore_keys: restore = [], size_bytes: size } = body;
    if (
      typeof key !== 'string' ||
      key === '' ||
      key.length > 512 ||
      key.includes(',') ||
      typeof version !== 'string'
    ) {
      faults.push(`${method} with the key ${String(key)}`);
      json(response, 400, { code: 'invalid_argument', msg: 'key' });
      return;
    }
    const at = entries.findIndex((entry) => entry.key === key && entry.version === version);
    const entry = entries[at];
    switch (method) {
      case 'CreateCacheEntry':
        if (entry !== undefined) {
          json(response, 409, {
            code: 'already_exists',
            msg: 'cache entry with the same key already exists',
          });
          return;
        }
        entries.push({ key, version, bytes: undefined, finished: false });
        json(response, 200, {
          ok: true,
          signed_upload_url: `${url}storage/${entries.length - 1}?sig=${signature}`,
        });
        return;
      case 'FinalizeCacheEntryUpload':
        if (entry?.bytes === undefined || String(entry.bytes.length) !== size) {
          faults.push(`finished ${key} with ${String(size)} bytes`);
          json(response, 400, { code: 'invalid_argument', msg: 'size' });
          return;
        }
        entry.finished = true;
        json(response, 200, { ok: true, entry_id: String(at) });
        return;
      case 'GetCacheEntryDownloadURL': {
        const found =
          find(key, version, false) ??
          (restore as readonly string[])
            .map((prefix) => find(prefix, version, true))
            .find((one) => one !== undefined);
        const link = found && `${url}storage/${entries.indexOf(found)}?sig=${signature}`;
        json(response, 200, {
          ok: found !== undefined,
          signed_download_url: link ?? '',
          matched_key: found?.key ?? '',
        });
        return;
      }
      default:
        json(response, 404, { code: 'bad_route', msg: method });
    }
  };
  const storage = async (request: IncomingMessage, response: ServerResponse, path: URL): Promise<void> => {
    const entry = entries[Number(path.pathname.split('/')[2])];
    const { authorization, 'x-ms-blob-type': kind, 'content-length': length } = request.headers;
    if (authorization !== undefined) faults.push('the token was sent to the storage');
    if (entry === undefined || path.searchParams.get('sig') !== signature) {
      response.writeHead(403).end();
    } else if (request.method === 'PUT') {
      if (kind !== 'BlockBlob' || length === undefined) {
        faults.push('no block blob, or no length');
        response.writeHead(400).end();
        return;
      }
      entry.bytes = await readAll(request, 2 ** 30);
      response.writeHead(201).end();
    } else response.writeHead(200).end(entry.bytes);
  };
  const answer = async (
    method: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> => {
    const body = await readAll(request, 2 ** 20);
    call(method, JSON.parse(body.toString()) as Readonly<Record<string, unknown>>, response);
  };
  const server = await startHttpServer((request, response) => {
    const path = new URL(request.url ?? '', 'http://service');
    const method = /^\/twirp\/github\.actions\.results\.api\.v1\.CacheService\/(\w+)$/.exec(
      path.pathname,
    )?.[1];
    if (method === undefined) {
      void storage(request, response, path);
    } else if (request.headers.authorization !== `Bearer ${token}`) {
      json(response, 401, { code: 'unauthenticated', msg: 'bad token' });
    } else {
      void answer(method, request, response);
    }
  });
  const url = `http://${server.host}/`;
  return {
    url,
    token,
    get keys() {
      return entries.filter(({ finished }) => finished).map(({ key }) => key);
    },
    faults,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
