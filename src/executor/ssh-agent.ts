import { chmodSync, closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { giveTo } from '../image/owners.ts';

/** A socket that stands for an agent of the host while a step runs. */
export interface AgentSocket extends AsyncDisposable {
  readonly path: string;
}

/**
 * Listens in a new directory and passes each connection to the agent at `target`, so that the step sees a socket with the
 * owner and mode it asked for, and the agent's own is never mounted.
 */
export async function listenForAgent(
  directory: string,
  target: string,
  owner: { readonly mode: number; readonly uid: number; readonly gid: number },
): Promise<AgentSocket> {
  mkdirSync(directory, { mode: 0o700 });
  const path = join(directory, 'socket');
  const open = new Set<{ destroy(): unknown }>();
  const server = createServer({ allowHalfOpen: true }, (inside) => {
    const outside = connect({ path: target, allowHalfOpen: true });
    for (const socket of [inside, outside]) {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    }
    // Each side's end is passed on; an error on one ends the other.
    pipeline(inside, outside, () => {});
    pipeline(outside, inside, () => {});
  });
  // A socket's name may have 107 bytes: go through a descriptor of its directory, however deep the store is.
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(`/proc/self/fd/${fd}/socket`, resolve);
    });
  } finally {
    closeSync(fd);
  }
  giveTo(path, owner);
  chmodSync(path, owner.mode);
  return {
    path,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
