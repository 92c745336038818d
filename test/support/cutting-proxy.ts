import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

export interface CuttingProxyOptions {
  /** `host:port` of what is behind. */
  readonly target: string;
  /** Which bytes are counted: those of requests, or those of answers. */
  readonly direction: 'up' | 'down';
  /** Bytes after which a connection is cut, one number for each cut; connections after the last are left alone. */
  readonly cuts: readonly number[];
  /** How: by an end in the middle, or by a reset, which takes bytes on their way along. */
  readonly by?: 'end' | 'reset';
}

export interface CuttingProxy extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** Bytes that were handed on in the direction that is counted. */
  bytes(): number;
  /** Cuts that were made. */
  cut(): number;
}

/** A line that breaks in the middle of what is large: connections that carry little are never cut. */
export async function startCuttingProxy(options: CuttingProxyOptions): Promise<CuttingProxy> {
  const [host = '', port = ''] = options.target.split(':');
  const left = [...options.cuts];
  const sockets = new Set<Socket>();
  let bytes = 0;
  let cut = 0;

  /** Hands on what comes; the bytes of one connection are its own. */
  function pass(from: Socket, to: Socket, isCounted: boolean): void {
    let own = 0;
    from.on('data', (chunk: Buffer) => {
      const limit = isCounted ? (left[0] ?? Infinity) : Infinity;
      const part = own + chunk.length > limit ? chunk.subarray(0, limit - own) : chunk;
      own += part.length;
      if (isCounted) bytes += part.length;
      if (!to.write(part)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
      if (part === chunk) return;
      cut += 1;
      left.shift();
      from.removeAllListeners('data');
      from.resume();
      for (const socket of [from, to]) {
        if (options.by === 'reset') socket.resetAndDestroy();
        else socket.end();
      }
    });
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
  }

  const server = createServer((client) => {
    const behind = connect(Number(port), host);
    for (const socket of [client, behind]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
    pass(client, behind, options.direction === 'up');
    pass(behind, client, options.direction === 'down');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => bytes,
    cut: () => cut,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
