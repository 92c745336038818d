import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { embeddedRuntime } from '../../src/executor/embedded-runtime.ts';
import type { ExecutionHost } from '../../src/executor/execute.ts';
import { execute } from '../../src/executor/execute.ts';
import { inspect } from '../../src/executor/executor.ts';
import type { NetworkProgram } from '../../src/executor/network-helper.ts';
import { ociRuntime } from '../../src/executor/oci-runtime.ts';
import { requireTool, suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { makeRootfs, runtimes, stepRequest } from './executor-steps.ts';

const needs = ['root', tool('busybox', 'busybox-static'), tool('runc')] as const;

interface Place {
  readonly folder: TempFolder;
  readonly layer: string;
}

let place: Place;
beforeAll(async () => {
  const folder = await tempFolder('network');
  place = { folder, layer: makeRootfs(join(folder.path, 'rootfs')) };
});
afterAll(() => place.folder[Symbol.asyncDispose]());

interface Network {
  readonly host: ExecutionHost;
  readonly warnings: string[];
  /** Runs a command on the default network, and returns what it wrote. */
  readonly run: (command: string, options?: { runtime?: string; isolated?: boolean }) => Promise<string>;
}

/** Steps on a host that has these helpers; undefined: those that it has. */
function network(programs?: readonly NetworkProgram[]): Network {
  const warnings: string[] = [];
  const found = inspect({
    root: join(place.folder.path, 'store'),
    env: process.env,
    emit: (event) => event.type === 'diagnostic' && warnings.push(event.diagnostic.message),
  });
  const host = { ...found, networkPrograms: [...(programs ?? found.networkPrograms)] };
  return {
    host,
    warnings,
    run: async (command, { runtime = 'embedded', isolated = false } = {}) => {
      let output = '';
      const request = stepRequest({ layer: place.layer, command });
      const result = await execute(
        {
          ...request,
          isolated,
          op: { ...request.op, network: 'default' },
          onOutput: (_stream, data) => {
            output += Buffer.from(data).toString();
          },
        },
        {
          host,
          runtime: runtime === 'embedded' ? embeddedRuntime(host) : ociRuntime(requireTool(runtime)),
        },
      );
      await result.discard();
      return output;
    },
  };
}

const broken = (name: NetworkProgram['name']): NetworkProgram => ({ name, path: '/bin/false' });

/** A server of the host that counts who reaches it. */
async function listen(address: string): Promise<{ port: number; reached: () => number; close: () => void }> {
  let reached = 0;
  const server = createServer((socket) => {
    reached += 1;
    socket.end('reached\n');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, address, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return { port, reached: () => reached, close: () => server.close() };
}

/** A shell command that writes what the server answers. Its side of the connection stays open meanwhile: pasta of 2023 loses one that closes at once. */
function get(address: string, port: number, seconds: number): string {
  return `sleep 0.4 | timeout ${seconds + 1} nc -w ${seconds} ${address} ${port}`;
}

/** Addresses of this host that are not on its loopback, and not of one link alone. */
function ownAddresses(family: 'IPv4' | 'IPv6'): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((item) => item.family === family && !item.internal && !item.address.startsWith('fe80:'))
    .map((item) => item.address);
}

function hasIpv6Route(): boolean {
  return /^0{32} 00 .*(?<! lo)$/m.test(readFileSync('/proc/net/ipv6_route', 'utf8'));
}

function processesWith(mark: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(mark);
    } catch {
      return false;
    }
  });
}

async function until(holds: () => boolean, limit: number): Promise<void> {
  for (let waited = 0; waited < limit && !holds(); waited += 20) await sleep(20);
  expect(holds()).toBe(true);
}

suite(
  'L-RUN-4: the isolated network of a step',
  [...needs, tool('slirp4netns'), tool('pasta', 'passt')],
  () => {
    describe.each(['pasta', 'slirp4netns'] as const)('by %s', (name) => {
      const only = (): Network => network([{ name, path: requireTool(name) }]);

      describe.each(runtimes)('on %s', (runtime) => {
        test('has an address and a name server of its own, and no device of the host', async () => {
          const steps = only();
          const said = await steps.run(
            'ip -4 addr | grep -o "inet 10[0-9.]*"; cat /etc/resolv.conf; ls /sys/class/net | wc -l; ip route | grep default | cut -d" " -f3; wc -l </proc/net/unix',
            { runtime },
          );
          const others = readFileSync('/etc/resolv.conf', 'utf8')
            .split('\n')
            .filter((line) => line.trim() !== '' && !line.startsWith('nameserver'));
          expect(said.trim().split('\n')).toEqual([
            'inet 10.0.2.100',
            ...others,
            'nameserver 10.0.2.3',
            '2',
            '10.0.2.2',
            // A headline: sockets without a file belong to the network, too.
            '1',
          ]);
          expect(steps.warnings).toEqual([]);
        });

        test('does not reach what listens on the loopback of the host', async () => {
          const servers = [await listen('127.0.0.1'), await listen('::1')];
          const steps = only();
          const places = ['127.0.0.1', '::1', '10.0.2.2', '10.0.2.3', 'fd00:2::2'];
          const attempts = servers.flatMap(({ port }) => places.map((at) => get(at, port, 1)));
          const said = await steps.run(`(${attempts.join('; ')}) 2>/dev/null | grep reached; echo end`, {
            runtime,
          });
          for (const server of servers) server.close();
          expect(said).toBe('end\n');
          expect(servers.map(({ reached }) => reached())).toEqual([0, 0]);
        });

        test('reaches another address of the host', async () => {
          const [address] = ownAddresses('IPv4');
          if (address === undefined) throw new Error('this host has no address but that of its loopback');
          const server = await listen(address);
          const said = await only().run(get(address, server.port, 5), { runtime });
          server.close();
          expect(said).toBe('reached\n');
        });
      });

      test('no helper is left after the step', async () => {
        await only().run('true');
        await until(() => processesWith(`${name}\0-`).length === 0, 60_000);
      });
    });

    test('pasta has IPv6 where the host has', async () => {
      const steps = network([{ name: 'pasta', path: requireTool('pasta') }]);
      const [address] = ownAddresses('IPv6');
      const said = await steps.run('ip -6 addr | grep -o "inet6 fd00:2::100"; ip -6 route | grep -c default');
      expect(said).toBe(hasIpv6Route() ? 'inet6 fd00:2::100\n1\n' : '0\n');
      if (!hasIpv6Route() || address === undefined) return;
      const server = await listen(address);
      expect(await steps.run(get(address, server.port, 5))).toBe('reached\n');
      server.close();
    });

    test('one that does not work is replaced by the other, without a word', async () => {
      const steps = network([broken('pasta'), { name: 'slirp4netns', path: requireTool('slirp4netns') }]);
      expect(await steps.run('ls /sys/class/net')).toBe('lo\ntap0\n');
      expect(steps.host.networkPrograms.map(({ name }) => name)).toEqual(['slirp4netns']);
      expect(steps.warnings).toEqual([]);
    });
  },
);

suite('L-RUN-4: the network of a step without a helper', needs, () => {
  const devices = (): string => `${readdirSync('/sys/class/net').toSorted().join('\n')}\n`;

  test.each([
    ['none is installed', [], 'neither pasta nor slirp4netns is to be had'],
    [
      'none works',
      [broken('pasta'), broken('slirp4netns')],
      'pasta does not work here (pasta ended early), slirp4netns does not work here (slirp4netns ended early)',
    ],
  ])("is the host's, with one warning: %s", async (_why, programs, reason) => {
    const steps = network(programs);
    for (let times = 0; times < 2; times += 1) {
      const said = await steps.run('cat /etc/resolv.conf; ls /sys/class/net');
      expect(said).toBe(`${readFileSync('/etc/resolv.conf', 'utf8')}${devices()}`);
    }
    expect(steps.warnings).toEqual([`steps use the host's network: ${reason}`]);
  });

  test('is an error for --network=isolated, before the step runs', async () => {
    const steps = network([broken('pasta')]);
    const error: unknown = await steps.run('echo ran', { isolated: true }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'NETWORK_UNAVAILABLE',
      message: 'steps cannot have a network of their own: pasta does not work here (pasta ended early)',
    });
    expect(steps.warnings).toEqual([]);
  });
});
