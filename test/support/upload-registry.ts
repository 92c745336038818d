import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpServer } from './http-server.ts';
import { startHttpServer } from './http-server.ts';

export interface UploadRegistryOptions {
  /** Larger bodies get 413. */
  readonly largestBody?: number;
  /** Told in `OCI-Chunk-Min-Length`. */
  readonly smallestChunk?: number;
  /** Asked about an upload, it knows nothing (as distribution 2). */
  readonly forgets?: boolean;
  /** Takes no PATCH. */
  readonly wholeOnly?: boolean;
  /** Sees each request first; true: has answered, or will. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** How many bytes of a body arrive before its connection breaks; undefined: all. */
  readonly breakAfter?: (request: IncomingMessage) => number | undefined;
  /** What is left of the bytes it has when it is asked for more; so that the next part does not fit. */
  readonly loses?: (bytes: number) => number;
  /** Sees the bytes of uploads as they come. */
  readonly onBytes?: (count: number) => void;
}

export interface UploadRegistry extends AsyncDisposable {
  readonly host: string;
  readonly server: HttpServer;
  /** By digest. */
  readonly blobs: ReadonlyMap<string, Buffer>;
  /** `PATCH 0-99`, `PUT`, in order; without pings and HEADs. */
  readonly story: readonly string[];
  /** Bytes of bodies that came. */
  received(): number;
}

/** A registry in memory that takes uploads to the letter of the distribution-spec, where distribution itself is lenient or forgetful. */
export async function startUploadRegistry(options: UploadRegistryOptions = {}): Promise<UploadRegistry> {
  const uploads = new Map<string, Buffer>();
  const blobs = new Map<string, Buffer>();
  const story: string[] = [];
  let received = 0;

  async function take(request: IncomingMessage, id: string): Promise<boolean> {
    const limit = options.breakAfter?.(request) ?? Infinity;
    let own = 0;
    for await (const chunk of request) {
      const part = (chunk as Buffer).subarray(0, limit - own);
      own += part.length;
      received += part.length;
      uploads.set(id, Buffer.concat([uploads.get(id) ?? Buffer.alloc(0), part]));
      options.onBytes?.(received);
      if (own >= limit) {
        request.socket.destroy();
        return false;
      }
    }
    return true;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://registry');
    const { method = '' } = request;
    const say = (status: number, headers: Record<string, string> = {}, code?: string): void => {
      response.writeHead(status, headers);
      response.end(code === undefined ? undefined : JSON.stringify({ errors: [{ code, message: code }] }));
    };
    const id = /\/blobs\/uploads\/(\d+)$/.exec(url.pathname)?.[1];
    if (url.pathname === '/v2/') return say(200);
    if (method === 'HEAD') return say(blobs.has(url.pathname.split('/').at(-1) ?? '') ? 200 : 404);
    const range = request.headers['content-range'];
    story.push(
      [method, range, url.pathname.includes('/manifests/') ? 'manifest' : undefined]
        .filter(Boolean)
        .join(' '),
    );
    if (url.pathname.includes('/manifests/')) {
      for await (const _ of request) void _;
      return say(201);
    }
    if (method === 'POST') {
      const next = String(uploads.size + 1);
      uploads.set(next, Buffer.alloc(0));
      const { smallestChunk } = options;
      const minimum = smallestChunk === undefined ? {} : { 'oci-chunk-min-length': String(smallestChunk) };
      return say(202, { location: `/v2/a/b/blobs/uploads/${next}?state=0`, ...minimum });
    }
    if (id === undefined || !uploads.has(id)) return say(404, {}, 'BLOB_UPLOAD_UNKNOWN');
    const have = (): number => uploads.get(id)?.length ?? 0;
    const place = (): Record<string, string> => ({
      location: `/v2/a/b/blobs/uploads/${id}?state=${have()}`,
      range: `0-${Math.max(0, have() - 1)}`,
    });
    if (method === 'GET') {
      if (options.forgets !== true) return say(204, place());
      uploads.delete(id);
      return say(404, {}, 'BLOB_UPLOAD_UNKNOWN');
    }
    if (method === 'PATCH' && options.wholeOnly === true)
      return say(405, { connection: 'close' }, 'UNSUPPORTED');
    if (Number(request.headers['content-length'] ?? 0) > (options.largestBody ?? Infinity)) {
      return say(413, { connection: 'close' });
    }
    const kept = Math.min(have(), options.loses?.(have()) ?? Infinity);
    uploads.set(id, uploads.get(id)?.subarray(0, kept) ?? Buffer.alloc(0));
    if (range !== undefined && Number(range.split('-')[0]) !== kept) {
      return say(416, { ...place(), connection: 'close' }, 'RANGE_INVALID');
    }
    if (!(await take(request, id))) return;
    if (method === 'PATCH') return say(202, place());
    const bytes = uploads.get(id) ?? Buffer.alloc(0);
    const digest = url.searchParams.get('digest') ?? '';
    uploads.delete(id);
    if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest) {
      return say(400, {}, 'DIGEST_INVALID');
    }
    blobs.set(digest, bytes);
    return say(201, { location: `/v2/a/b/blobs/${digest}` });
  }

  const server = await startHttpServer((request, response) => {
    if (options.intercept?.(request, response) === true) return;
    answer(request, response).catch(() => response.destroy());
  });
  return {
    ...{ host: server.host, server, blobs, story },
    received: () => received,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
