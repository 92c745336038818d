import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SystemCall } from '../support/elf.ts';
import { callProgram, callResults } from '../support/elf.ts';
import type { Host } from './attempt.ts';

/** Makes what no step may reach: files, a mount, a process, sockets, memory. Disposing removes it, but for the mount. */
export async function makeHost(folder: string): Promise<Host & AsyncDisposable> {
  const cleanup = new AsyncDisposableStack();
  const guarded = join(folder, 'host');
  mkdirSync(guarded, { recursive: true });
  const marker = join(guarded, 'marker');
  writeFileSync(marker, 'canary');

  // In this process's own mount namespace.
  const mounted = '/sys/kernel/mm';
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=777', 'none', mounted]);
  const knob = join(mounted, 'knob');
  writeFileSync(knob, '');
  chmodSync(knob, 0o666);

  const child = spawn('sh', ['-c', 'read -r _', 'canary-word'], {
    env: { PATH: process.env['PATH'], WORD: 'canary-word' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  cleanup.defer(() => void child.kill('SIGKILL'));
  const pid = child.pid ?? -1;
  // It has its command line only after execve.
  while (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('canary-word')) await sleep(5);

  const name = `tsbuild-canary-${process.pid}`;
  const listen = async (where: object): Promise<ReturnType<typeof createServer>> => {
    const server = createServer((socket) => socket.on('error', () => {}).end('canary\n'));
    server.listen(where);
    await once(server, 'listening');
    cleanup.defer(() => void server.close());
    return server;
  };
  await listen({ path: `\0${name}` });
  const server = await listen({ host: '127.0.0.1', port: 0 });

  const shmKey = 0x7473_0000 + (process.pid & 0xffff);
  const CREATE = 0o1000;
  const [segment = -1, queue = -1] = asks(folder, [
    { number: 29, args: [shmKey, 4096, CREATE | 0o600] },
    { number: 240, args: [name, 0o102, 0o600, 0] },
  ]);
  cleanup.defer(() => {
    asks(folder, [
      { number: 31, args: [segment, 0, 0] },
      { number: 241, args: [name] },
    ]);
  });
  if (segment < 0 || queue < 0) throw new Error(`no shared memory (${segment}) or no queue (${queue})`);

  const disposers = cleanup.move();
  return {
    ...{ folder: guarded, marker, knob, pid, socket: name, queue: name, shmKey },
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => disposers.disposeAsync(),
  };
}

/** Makes system calls on the host, and says what they returned. */
function asks(folder: string, calls: readonly SystemCall[]): number[] {
  const program = join(folder, 'asks');
  writeFileSync(program, callProgram({ calls }));
  chmodSync(program, 0o755);
  return callResults(execFileSync(program));
}
