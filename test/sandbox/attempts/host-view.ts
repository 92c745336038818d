import type { SystemCall } from '../../support/elf.ts';
import { callProgram } from '../../support/elf.ts';
import type { Attempt, Host } from '../attempt.ts';

// What runs on the host beside the step: processes, their environment, their sockets and memory (S-SB-4).

function call(calls: (host: Host) => readonly SystemCall[]): {
  readonly script: string;
  readonly programs: (host: Host) => Readonly<Record<string, Uint8Array>>;
} {
  return {
    script: '$ATTEMPT/call',
    programs: (host) => ({ call: callProgram({ calls: calls(host), stopOnError: true }) }),
  };
}

/** struct sockaddr_un of an abstract name. */
function abstractAddress(name: string): Uint8Array {
  return Buffer.concat([Buffer.from([1, 0, 0]), Buffer.from(name)]);
}

export const hostView: readonly Attempt[] = [
  {
    row: 'S-SB-4',
    what: 'find a process of the host',
    attack: { script: 'cat /proc/[0-9]*/cmdline | tr "\\0" " " | grep -q "canary-wor[d]"' },
    weakened: 'namespaces',
  },
  {
    row: 'S-SB-4',
    what: 'send a signal to a process of the host',
    attack: { script: 'kill -CONT $CANARY_PID' },
    weakened: 'namespaces',
  },
  {
    row: 'S-SB-4',
    what: 'trace a process of the host',
    attack: call(({ pid }) => [{ number: 101, args: [0x4206, pid, 0, 0] }]),
    weakened: 'namespaces',
  },
  {
    row: 'CVE-2021-3602',
    what: "read the builder's environment in /proc",
    attack: { script: 'cat /proc/[0-9]*/environ | grep -q "canary-wor[d]"' },
    weakened: 'namespaces',
  },
  {
    row: 'S-SB-4',
    what: "into the host's files through the root of one of its processes",
    attack: { script: '[ -e /proc/$CANARY_PID/root$MARKER ]' },
    weakened: 'namespaces',
  },
  {
    row: 'L-RUN-4',
    what: 'connect to an abstract socket of the host, under --network=none',
    attack: call(({ socket }) => [
      { number: 41, args: [1, 1, 0] },
      { number: 42, args: [{ result: 0 }, abstractAddress(socket), 3 + socket.length] },
    ]),
    weakened: 'namespaces',
  },
  {
    row: 'L-RUN-4',
    what: "connect to a server on the host's loopback, under --network=none",
    attack: { script: 'nc -w 2 127.0.0.1 $PORT </dev/null | grep -q canary' },
    weakened: 'namespaces',
  },
  {
    row: 'S-SB-4',
    what: 'attach shared memory of the host',
    attack: call(({ shmKey }) => [{ number: 29, args: [shmKey, 0, 0] }]),
    weakened: 'namespaces',
  },
  {
    row: 'S-SB-4',
    what: 'open a message queue of the host',
    attack: call(({ queue }) => [{ number: 240, args: [queue, 0, 0, 0] }]),
    weakened: 'namespaces',
  },
];
