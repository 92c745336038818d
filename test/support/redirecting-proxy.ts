import { once } from 'node:events';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HttpServer } from './http-server.ts';
import { startHttpServer } from './http-server.ts';

export interface RedirectingProxy extends AsyncDisposable {
  /** `127.0.0.1:<port>` of the registry's face. */
  readonly host: string;
  /** The blob store on its own origin, which refuses whoever sends it credentials, as S3 does. */
  readonly storage: HttpServer;
}

/** Before a registry: blobs are read from another origin, by an address that is its own proof. */
export async function startRedirectingProxy(
  target: string,
  authorization?: string,
): Promise<RedirectingProxy> {
  const [hostname, port] = target.split(':');
  const storage = await startHttpServer((request, response) => {
    if (request.headers.authorization !== undefined || request.url?.includes('signature=1') !== true) {
      response.writeHead(400).end();
      return;
    }
    const { range } = request.headers;
    const headers = {
      ...(authorization === undefined ? {} : { authorization }),
      ...(range === undefined ? {} : { range }),
    };
    const onward = forward(
      { hostname, port, method: request.method, path: request.url, headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    onward.end();
  });
  const face = createServer((request, response) => {
    const { method, url = '', headers } = request;
    const toStorage = method === 'GET' && /\/blobs\/sha256:/.test(url);
    const onward = forward(
      { hostname, port, method: toStorage ? 'HEAD' : method, path: url, headers },
      (answer) => {
        if (toStorage && answer.statusCode === 200) {
          answer.resume();
          response.writeHead(307, { location: `http://${storage.host}${url}?signature=1` }).end();
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  face.listen(0, '127.0.0.1');
  await once(face, 'listening');
  return {
    host: `127.0.0.1:${(face.address() as AddressInfo).port}`,
    storage,
    async [Symbol.asyncDispose]() {
      face.closeAllConnections();
      face.close();
      await once(face, 'close');
      await storage[Symbol.asyncDispose]();
    },
  };
}
