import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Entry } from '../image/entry.ts';
import type { Tree } from '../image/tree.ts';
import type { HttpClient, HttpResponse } from '../net/http.ts';
import { createHttpClient } from '../net/http.ts';
import { networkFailure } from '../net/network-error.ts';
import { defaultRetryPolicy, isRetryableStatus, retry, retryAfter } from '../net/retry.ts';
import type { Digest } from '../oci/digest.ts';
import { digestHex, digestOf, digestOfJson, isDigest } from '../oci/digest.ts';
import { fullDiskError } from '../store/store-error.ts';
import { BuildError } from '../util/build-error.ts';
import { redactUrl } from '../util/redact.ts';

/** One file by URL: the shape of the graph's HttpOp. */
export interface HttpSource {
  readonly url: string;
  readonly filename: string;
  readonly checksum?: Digest;
}

export interface HttpOptions {
  /** Bodies are kept in its folder `http`, by the digest of their URL, with what the server needs to say whether they are fresh. */
  readonly cacheDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** What is said to a host for `Authorization:`; each host that redirects lead to has its own. */
  readonly authorization?: ((host: string) => Promise<string | undefined>) | undefined;
}

/** A file that was fetched. */
export interface Download {
  /** Where its bytes are: a file of the cache, never written again. */
  readonly file: string;
  readonly digest: Digest;
  readonly size: number;
  /** Of Last-Modified; 0 without. Nanoseconds. */
  readonly mtime: bigint;
}

interface Remembered {
  readonly digest: Digest;
  readonly etag?: string;
  readonly lastModified?: string;
}

const largest = 64 * 1024 ** 3;
const maxRedirects = 10;

/**
 * ADD of a URL (L-ADD-2): a tree of this one file, mode 0600, owner 0:0, mtime from Last-Modified or 0. The cached body is used when
 * the server says that it still holds, and without asking when `checksum` names it. Errors: DOWNLOAD_FAILED, CHECKSUM_MISMATCH.
 */
export async function fetchHttp(source: HttpSource, options: HttpOptions): Promise<Tree> {
  return downloadTree(source.filename, await fetchFile(source, options));
}

/** The bytes of a URL, in the cache. Errors as fetchHttp. */
export async function fetchFile(
  source: Pick<HttpSource, 'url' | 'checksum'>,
  options: HttpOptions,
): Promise<Download> {
  const folder = join(options.cacheDir, 'http');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const record = join(folder, `${digestHex(digestOfJson(['url', source.url]))}.json`);
  const known = await remembered(record, folder);
  if (known !== undefined && known.digest === source.checksum) return downloadOf(folder, known);
  const fresh = await download(source.url, { folder, known, options });
  if (source.checksum !== undefined && fresh.digest !== source.checksum) {
    throw new BuildError('CHECKSUM_MISMATCH', `${redactUrl(source.url)} has the checksum ${fresh.digest}`, {
      hint: `expected ${source.checksum}; if the new content is right, change --checksum`,
      details: { url: redactUrl(source.url), actual: fresh.digest, expected: source.checksum },
    });
  }
  const temporary = temporaryIn(folder);
  await writeFile(temporary, JSON.stringify(fresh), { mode: 0o600 });
  await rename(temporary, record);
  return downloadOf(folder, fresh);
}

async function remembered(record: string, folder: string): Promise<Remembered | undefined> {
  try {
    const known = JSON.parse(await readFile(record, 'utf8')) as Remembered;
    if (!isDigest(known.digest)) return undefined;
    await stat(bodyOf(folder, known.digest));
    return known;
  } catch {
    // Not fetched before, or the cache was cleaned: fetch it.
    return undefined;
  }
}

/** A name of its own for each that writes: steps of one build may fetch one URL at once, and processes share the folder. */
function temporaryIn(folder: string): string {
  return join(folder, `part-${randomUUID()}`);
}

function bodyOf(folder: string, digest: Digest): string {
  return join(folder, digestHex(digest));
}

async function downloadOf(folder: string, known: Remembered): Promise<Download> {
  const file = bodyOf(folder, known.digest);
  const { size } = await stat(file);
  // For a collector of unused files.
  await utimes(file, new Date(), new Date()).catch(() => undefined);
  const time = Date.parse(known.lastModified ?? '');
  const mtime = Number.isNaN(time) || time < 0 ? 0n : BigInt(time) * 1_000_000n;
  return { file, digest: known.digest, size, mtime };
}

async function download(
  url: string,
  { folder, known, options }: { folder: string; known: Remembered | undefined; options: HttpOptions },
): Promise<Remembered> {
  await using client = createHttpClient({ env: options.env });
  const failed = (reason: string, cause?: unknown): BuildError =>
    new BuildError('DOWNLOAD_FAILED', `cannot fetch ${redactUrl(url)}: ${reason}`, {
      details: { url: redactUrl(url) },
      cause,
    });
  return await retry<Remembered>(
    async () => {
      try {
        const response = await follow(client, { url, known, options, failed });
        if (response.status === 304 && known !== undefined) {
          await response.discard();
          return { value: known };
        }
        if (response.status !== 200) {
          await response.discard();
          const failure = failed(`the server answers with status ${response.status}`);
          if (!isRetryableStatus(response.status)) throw failure;
          return { failure, pause: retryAfter(response.header('retry-after'), Date.now()) };
        }
        return { value: await save(response, folder, options.signal) };
      } catch (error) {
        options.signal?.throwIfAborted();
        const network = networkFailure(error);
        if (network === undefined) throw error;
        const failure = failed(network.reason, error);
        if (!network.retryable) throw failure;
        return { failure };
      }
    },
    defaultRetryPolicy,
    options.signal,
  );
}

async function follow(
  client: HttpClient,
  request: {
    readonly url: string;
    readonly known: Remembered | undefined;
    readonly options: HttpOptions;
    readonly failed: (reason: string) => BuildError;
  },
): Promise<HttpResponse> {
  const { known, options, failed } = request;
  let url: URL;
  try {
    url = new URL(request.url);
  } catch {
    throw failed('it is no URL');
  }
  for (let count = 0; count <= maxRedirects; count += 1) {
    if (url.protocol !== 'http:' && url.protocol !== 'https:') throw failed(`${url.protocol} is not fetched`);
    const authorization = await options.authorization?.(url.host);
    const headers = {
      ...(authorization === undefined ? {} : { authorization }),
      'accept-encoding': 'identity',
      ...(known?.etag === undefined ? {} : { 'if-none-match': known.etag }),
      ...(known?.etag !== undefined || known?.lastModified === undefined
        ? {}
        : { 'if-modified-since': known.lastModified }),
    };
    const response = await client.request({ url, headers, signal: options.signal });
    const location = response.header('location');
    if (![301, 302, 303, 307, 308].includes(response.status) || location === undefined) return response;
    await response.discard();
    if (!URL.canParse(location, url.href)) throw failed('it redirects to what is no URL');
    const next = new URL(location, url);
    // What was asked for safely must not come back unsafely.
    if (url.protocol === 'https:' && next.protocol !== 'https:')
      throw failed('it redirects from https to http');
    url = next;
  }
  throw failed(`it redirects more than ${maxRedirects} times`);
}

async function save(
  response: HttpResponse,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<Remembered> {
  const temporary = temporaryIn(folder);
  const hash = createHash('sha256');
  let size = 0;
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const chunk of response.body) {
      size += chunk.length;
      if (size > largest) throw new BuildError('DOWNLOAD_FAILED', 'the server sends more than 64 GiB');
      hash.update(chunk);
      yield chunk;
    }
  }
  try {
    // Opened first: a stream that opens its file itself may do so after it has failed, and leave it.
    const out = (await open(temporary, 'wx', 0o600)).createWriteStream();
    await pipeline(hashed(), out, ...(signal === undefined ? [] : [{ signal }]));
    const digest: Digest = `sha256:${hash.digest('hex')}`;
    await rename(temporary, bodyOf(folder, digest));
    const etag = response.header('etag');
    const lastModified = response.header('last-modified');
    return {
      digest,
      ...(etag === undefined ? {} : { etag }),
      ...(lastModified === undefined ? {} : { lastModified }),
    };
  } catch (error) {
    await rm(temporary, { force: true });
    throw fullDiskError(error, 'keeping a download');
  }
}

function downloadTree(name: string, { file, digest, size, mtime }: Download): Tree {
  const root: Entry = { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0n };
  const content = () => createReadStream(file);
  const entry: Entry = { path: name, type: 'file', mode: 0o600, uid: 0, gid: 0, size, mtime, content };
  const at = (path: string): Entry | undefined => (path === '' ? root : path === name ? entry : undefined);
  return {
    lstat: async (path) => at(path),
    list: async (path) => (path === '' ? [name] : []),
    resolve: async (path) =>
      path
        .split('/')
        .filter((part) => part !== '' && part !== '.')
        .join('/'),
    async *walk(path) {
      const start = at(path);
      if (start !== undefined) yield start;
      if (path === '') yield entry;
    },
    contentDigest: async (path) => (path === '' ? digestOf('') : digestOfJson(['http', digest])),
  };
}
