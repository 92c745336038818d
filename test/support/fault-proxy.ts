import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** What a network, or what stands in it, can do to one exchange. */
export const faults = [
  'reset before', // the connection ends before the registry has seen anything
  'reset during', // in the middle of a body, the request's or the answer's
  'reset after', // the registry has done it, and nobody hears of it
  'stall', // nothing comes, and the connection stays
  'stall during', // in the middle of a body
  '429',
  '500',
  '503',
  '401', // a token that has expired
  'truncate', // fewer bytes than promised, then the end
  'flip', // one byte is another
  'flip request', // the registry gets other bytes than were sent
  'length short', // Content-Length says less than there is
  'length long', // Content-Length says more than there is
  'digest', // Docker-Content-Digest is another's
] as const;

export type Fault = (typeof faults)[number];

export interface FaultProxyOptions {
  /** `host:port` of the real registry, plain HTTP. */
  readonly target: string;
  /** Decides for each request; undefined: nothing is done to it. */
  readonly choose: (request: IncomingMessage) => Fault | undefined;
  /** Told of each answer that is handed on whole, once the registry has given it. */
  readonly onAnswer?: (request: IncomingMessage, status: number) => void;
}

export interface FaultProxy extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** What was done, in order: `PUT /v2/...: stall`. */
  readonly done: readonly string[];
  /** Connections that are open at the moment: all of them, and those that wait for an answer which will not come. */
  sockets(): { readonly open: number; readonly stalled: number };
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A proxy before a registry that behaves as bad networks do. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const done: string[] = [];
  const open = new Set<Socket>();
  const stalled = new Set<Socket>();
  const server = createServer((request, response) => {
    const fault = options.choose(request);
    if (fault !== undefined) done.push(`${request.method} ${request.url}: ${fault}`);
    if (fault === 'stall') stalled.add(request.socket);
    // Whoever leaves a broken exchange is expected to.
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    exchange(options, { request, response, fault });
  });
  server.keepAliveTimeout = 60_000;
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => {
      open.delete(socket);
      stalled.delete(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    done,
    sockets: () => ({ open: open.size, stalled: stalled.size }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly fault: Fault | undefined;
}

function exchange(options: FaultProxyOptions, { request, response, fault }: Exchange): void {
  if (fault === 'stall') {
    // Only who reads sees that the other side has left.
    request.resume();
    return;
  }
  if (fault === 'reset before') request.socket.resetAndDestroy();
  else if (fault === '429') {
    response.writeHead(429, { 'retry-after': '0', 'ratelimit-remaining': '0;w=21600' });
    response.end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}');
  } else if (fault === '500' || fault === '503') {
    response.writeHead(Number(fault)).end('{"errors":[{"code":"UNKNOWN","message":"a bad day"}]}');
  } else if (fault === '401') {
    const realm = `http://${request.headers.host}/fault-token`;
    response.writeHead(401, {
      'www-authenticate': `Bearer realm="${realm}",service="x",error="invalid_token"`,
    });
    response.end('{"errors":[{"code":"UNAUTHORIZED","message":"token expired"}]}');
  } else pass(options, { request, response, fault });
}

function pass({ target, onAnswer }: FaultProxyOptions, { request, response, fault }: Exchange): void {
  if (request.url?.startsWith('/fault-token') === true) {
    response.end('{"token":"fresh","expires_in":300}');
    return;
  }
  const [hostname, port] = target.split(':');
  const { method, url } = request;
  const onward = forward({ hostname, port, method, path: url, headers: request.headers }, (answer) => {
    if (fault === 'reset after') {
      answer.destroy();
      request.socket.resetAndDestroy();
      return;
    }
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    answer.on('error', () => request.socket.destroy());
    answer.on('end', () => {
      reply(Buffer.concat(chunks), answer, { request, response, fault });
      if (fault === undefined) onAnswer?.(request, answer.statusCode ?? 0);
    });
  });
  onward.on('error', () => request.socket.destroy());
  let first = true;
  request.on('data', (chunk: Buffer) => {
    if (first && fault === 'stall during') {
      request.pause();
      return;
    }
    if (first && fault === 'reset during') {
      onward.write(chunk.subarray(0, chunk.length >> 1));
      onward.destroy();
      request.socket.resetAndDestroy();
      return;
    }
    if (first && fault === 'flip request') flip(chunk);
    first = false;
    if (!onward.write(chunk)) {
      request.pause();
      onward.once('drain', () => request.resume());
    }
  });
  request.on('end', () => onward.end());
  request.on('close', () => {
    if (!request.complete) onward.destroy();
  });
}

/** The whole answer is at hand: bodies of tests are small. */
function reply(body: Buffer, answer: IncomingMessage, { request, response, fault }: Exchange): void {
  const headers = { ...answer.headers };
  // A HEAD's length is that of the body it has not.
  const length = Number(headers['content-length'] ?? body.length);
  const half = body.subarray(0, body.length >> 1);
  delete headers['transfer-encoding'];
  headers['content-length'] = String(request.method === 'HEAD' ? length : body.length);
  if (fault === 'digest' && headers['docker-content-digest'] !== undefined) {
    headers['docker-content-digest'] = `sha256:${'0'.repeat(64)}`;
  }
  if (fault === 'length short') headers['content-length'] = String(Math.max(0, length - 3));
  if (fault === 'length long') headers['content-length'] = String(length + 3);
  if (fault === 'flip') flip(body);
  // By hand: Node's own response does not lie.
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((item) => `${name}: ${item}\r\n`),
  );
  const head = `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\n${lines.join('')}\r\n`;
  const { socket } = response;
  if (socket === null || socket.destroyed) return;
  if (fault === 'truncate') socket.end(Buffer.concat([Buffer.from(head), half]));
  else if (fault === 'length long') socket.end(Buffer.concat([Buffer.from(head), body]));
  else if (fault === 'length short') socket.write(Buffer.concat([Buffer.from(head), body]));
  else if (fault === 'stall during') socket.write(Buffer.concat([Buffer.from(head), half]));
  else if (fault === 'reset during') {
    socket.write(Buffer.concat([Buffer.from(head), half]), () => socket.resetAndDestroy());
  } else {
    response.writeHead(answer.statusCode ?? 502, headers);
    response.end(request.method === 'HEAD' ? undefined : body);
  }
}

function flip(bytes: Buffer): void {
  const at = bytes.length >> 1;
  if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ 0x20;
}
