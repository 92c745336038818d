import type { IncomingMessage, ServerResponse } from 'node:http';
import { readAll } from '../../src/util/streams.ts';
import type { HttpServer } from './http-server.ts';
import { startHttpServer } from './http-server.ts';

/** One answer of the registry behind. */
export interface Answer {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly status: number;
  /** Of the body. */
  readonly bytes: number;
}

export interface CountingRegistry extends AsyncDisposable {
  readonly host: string;
  /** Since the last call. */
  answers(): readonly Answer[];
  /** Replaces answers to requests whose path has this text; undefined: as the registry says. */
  spoil(part: string, how: ((body: Buffer) => { status?: number; body: Buffer }) | undefined): void;
}

/** A proxy in front of a registry that counts what comes out of it, and can spoil it. */
export async function countingRegistry(host: string): Promise<CountingRegistry> {
  let answers: Answer[] = [];
  const spoils = new Map<string, (body: Buffer) => { status?: number; body: Buffer }>();
  const server: HttpServer = await startHttpServer((request, response) => {
    void forward(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const sent = await readAll(request, 2 ** 30);
    const passed = ['content-type', 'accept', 'content-range', 'range'];
    const answer = await fetch(`http://${host}${request.url ?? ''}`, {
      method: request.method ?? 'GET',
      headers: Object.fromEntries(
        Object.entries(request.headers).flatMap(([name, value]) =>
          passed.includes(name) ? [[name, String(value)]] : [],
        ),
      ),
      ...(sent.length === 0 ? {} : { body: new Uint8Array(sent) }),
      redirect: 'manual',
    });
    const ours = ['connection', 'keep-alive', 'transfer-encoding'];
    const headers = Object.fromEntries([...answer.headers].filter(([name]) => !ours.includes(name)));
    // The registry names itself; what is counted must come back here.
    const { location } = headers;
    if (location !== undefined) headers['location'] = location.replace(host, request.headers.host ?? '');
    let body: Buffer = Buffer.from(await answer.arrayBuffer());
    let { status } = answer;
    const path = (request.url ?? '').replace(/\?.*/, '');
    const method = request.method ?? '';
    const spoiled = method === 'GET' ? [...spoils].find(([part]) => path.includes(part)) : undefined;
    if (spoiled !== undefined && status === 206) {
      // Who goes on after a break finds nothing more.
      status = 404;
      body = Buffer.from('{}');
      headers['content-length'] = '2';
    } else if (spoiled !== undefined && status === 200) {
      ({ status = 200, body } = spoiled[1](body));
      delete headers['docker-content-digest'];
      headers['content-length'] = String(body.length);
    }
    answers.push({ method, path, status, bytes: body.length });
    response.writeHead(status, headers);
    response.end(body);
  };
  return {
    host: server.host,
    answers: () => {
      const since = answers;
      answers = [];
      return since;
    },
    spoil: (part, how) => {
      if (how === undefined) spoils.delete(part);
      else spoils.set(part, how);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
