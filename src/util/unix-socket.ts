import { closeSync, constants, openSync } from 'node:fs';
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { basename, dirname } from 'node:path';

/** What fits into sun_path on every system, in bytes. */
const LONGEST_NAME = 103;
/** A step cannot use up the descriptors of its build. */
const MOST_CONNECTIONS = 256;

/**
 * A name of a socket that is short enough, however deep it lies: through a descriptor of its directory, on Linux. It holds for this process
 * and its children, until it is disposed of.
 */
export function shortName(path: string): Disposable & { readonly name: string } {
  if (Buffer.byteLength(path) <= LONGEST_NAME || process.platform !== 'linux')
    return { name: path, [Symbol.dispose]: () => {} };
  const fd = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    name: `/proc/${process.pid}/fd/${fd}/${basename(path)}`,
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** Listens at a new socket. Disposing closes it and all its connections. */
export async function listenAt(path: string, serve: (socket: Socket) => void): Promise<AsyncDisposable> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // Whoever reads is told as well.
    socket.on('error', () => {});
    serve(socket);
  });
  server.maxConnections = MOST_CONNECTIONS;
  const short = shortName(path);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(short.name, resolve);
    });
  } catch (error) {
    short[Symbol.dispose]();
    throw error;
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      // Closing removes the socket by the name that it was made by: so long that must lead to its directory, and to no other.
      short[Symbol.dispose]();
    },
  };
}

/** Connects to a socket; rejects as connect(2) does. */
export async function connectTo(path: string): Promise<Socket> {
  using short = shortName(path);
  const socket = connect(short.name);
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', resolve);
  });
  socket.on('error', () => {});
  return socket;
}
