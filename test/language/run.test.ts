import { describe, expect, test } from 'vitest';
import { hostGateway, hostsFile, resolvConf } from '../../src/executor/network.ts';
import type { ExecOp } from '../../src/graph/op.ts';
import type { LowerSetup } from './lowered.ts';
import { faultsOf, lowerText } from './lowered.ts';

const base = 'docker.io/library/base:latest';
const setup: LowerSetup = { bases: { [base]: { config: { Env: ['PATH=/bin'] } } } };

/** The ops of all RUNs of a file on a base, in order. */
async function execs(text: string, more: LowerSetup = {}): Promise<readonly ExecOp[]> {
  const { definition } = await lowerText(`FROM base\n${text}`, { ...setup, ...more });
  return definition.vertices.flatMap(({ op }) => (op.kind === 'exec' ? [op] : []));
}

async function argsOf(text: string, more: LowerSetup = {}): Promise<readonly (readonly string[])[]> {
  return (await execs(text, more)).map(({ args }) => args);
}

describe('L-RUN-1: the forms of RUN', () => {
  test('shell form: the joined text behind the shell', async () => {
    expect(await argsOf('RUN a $B "c"  \\\n  && d # e')).toEqual([['/bin/sh', '-c', 'a $B "c"    && d # e']]);
    expect(await argsOf('SHELL ["/bin/bash", "-o", "pipefail", "-c"]\nRUN a | b')).toEqual([
      ['/bin/bash', '-o', 'pipefail', '-c', 'a | b'],
    ]);
  });

  test('exec form: the words as they are, no shell, no expansion', async () => {
    const text = 'ARG B=1\nSHELL ["/bin/bash", "-c"]\nRUN ["a", "$B", "\\u0041 \\"b\\"", ""]';
    expect(await argsOf(text)).toEqual([['a', '$B', 'A "b"', '']]);
  });

  test('what is no JSON array of strings in double quotes is shell form', async () => {
    expect(await argsOf("RUN ['a', 'b']\nRUN [ -e /x ]\nRUN [\"a\"] b")).toEqual([
      ['/bin/sh', '-c', "['a', 'b']"],
      ['/bin/sh', '-c', '[ -e /x ]'],
      ['/bin/sh', '-c', '["a"] b'],
    ]);
  });

  test('a command must be there', async () => {
    expect(await faultsOf('FROM base\nRUN\nRUN []\nRUN --network=none', setup)).toEqual([
      'DOCKERFILE_SYNTAX 2:1 RUN needs a command',
      'DOCKERFILE_SYNTAX 3:1 RUN needs a command',
      'DOCKERFILE_SYNTAX 4:1 RUN needs a command',
    ]);
  });

  test('the shell of Windows', async () => {
    const windows = { os: 'windows', architecture: 'amd64' };
    const more = { bases: { [base]: windows }, platform: windows, platformIsExplicit: true };
    expect(await argsOf('RUN dir', more)).toEqual([['cmd', '/S', '/C', 'dir']]);
  });
});

describe('L-RUN-3: flags of RUN', () => {
  test('many mounts, one network, one security', async () => {
    const flags = '--mount=target=/a --network=none --mount=type=tmpfs,target=/b --security=insecure';
    const [op] = await execs(`RUN ${flags} x`);
    expect(op?.mounts.map(({ type, target }) => `${type} ${target}`)).toEqual(['bind /a', 'tmpfs /b']);
    expect([op?.network, op?.security, op?.args.at(-1)]).toEqual(['none', 'insecure', 'x']);
  });

  test('by default: network default, sandboxed, no mounts', async () => {
    const [op, exec] = await execs('RUN x\nRUN --network=default --security=sandbox ["x"]');
    expect([op?.network, op?.security, op?.mounts]).toEqual(['default', 'sandbox', []]);
    expect([exec?.network, exec?.security, exec?.args]).toEqual(['default', 'sandbox', ['x']]);
  });

  test('other values, a flag twice, and a flag that there is not', async () => {
    const file = [
      'FROM base',
      'RUN --network=hots x',
      'RUN --security=secure x',
      'RUN --network=none --network=host x',
      'RUN --network x',
      'RUN --mont=target=/x x',
      'RUN x --network=hots',
    ];
    expect(await faultsOf(file.join('\n'), setup)).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:15 `hots` is none of default, none, host | did you mean `host`?',
      'DOCKERFILE_BAD_ARGUMENT 3:16 `secure` is none of sandbox, insecure | did you mean `insecure`?',
      'DOCKERFILE_SYNTAX 4:20 the flag `--network` stands twice',
      'DOCKERFILE_SYNTAX 5:5 `--network` needs a value | write --network=<value>',
      'DOCKERFILE_UNKNOWN_FLAG 6:5 RUN has no flag `--mont` | did you mean `--mount`?',
    ]);
  });
});

test('L-RUN-4: the network of the build is that of each RUN that names none', async () => {
  const networks = async (network?: LowerSetup['network']): Promise<unknown> =>
    (await execs('RUN a\nRUN --network=default b\nRUN --network=none c', { network })).map(
      (op) => op.network,
    );
  expect(await networks()).toEqual(['default', 'default', 'none']);
  expect(await networks('host')).toEqual(['host', 'default', 'none']);
});

describe('L-RUN-6 Z-8: devices are the one feature that only the labs channel has', () => {
  const hint = 'a step that needs devices of the host can have `--security=insecure`';
  test.each(['vendor.com/class', 'name=vendor.com/class=dev,required', 'vendor.com/class=*', 'class'])(
    '--device=%s is refused in clear words',
    async (device) => {
      expect(await faultsOf(`FROM base\nRUN --device=${device} x`, setup)).toEqual([
        `UNSUPPORTED_HERE 2:5 \`RUN --device\` is not supported: it is a feature of the labs channel alone | ${hint}`,
      ]);
    },
  );

  test('the others need no labs syntax', async () => {
    const file = [
      'RUN --security=insecure x',
      'COPY --parents --exclude=*.md a/b /c/',
      `ADD --unpack=false --checksum=sha256:${'a'.repeat(64)} https://example.com/x.tar /x/`,
    ];
    expect(await execs(`${file.join('\n')}\nRUN y`)).toHaveLength(2);
  });
});

describe('L-RUN-7: what a step finds', () => {
  test('the environment: of the image, of ARGs, and a PATH in any case', async () => {
    const [op] = await execs('ENV E=1\nARG A=2\nARG NONE\nRUN x');
    expect(op?.env).toEqual(['PATH=/bin', 'E=1', 'A=2']);
    const [bare] = await execs('RUN x', { bases: { [base]: {} } });
    expect(bare?.env).toEqual(['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']);
  });

  test('/etc/hosts', () => {
    const gateway = (): string => '192.0.2.1';
    expect(hostsFile('box', [], gateway)).toBe(
      '127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n',
    );
    expect(hostsFile('box', ['a:1.2.3.4', 'b=::1', 'c:[fe80::2]', 'd:host-gateway'], gateway)).toMatch(
      /\n1\.2\.3\.4\ta\n::1\tb\nfe80::2\tc\n192\.0\.2\.1\td\n$/,
    );
  });

  test('C-EX-2: host-gateway is where a step reaches this host', () => {
    const face = (address: string, internal = false) => ({
      ...{ address, internal, netmask: '', mac: '', cidr: null },
      ...(address.includes(':') ? { family: 'IPv6' as const, scopeid: 0 } : { family: 'IPv4' as const }),
    });
    const loopback = [face('127.0.0.1', true), face('::1', true)];
    const both = { lo: loopback, eth0: [face('fe80::5'), face('2001:db8::5'), face('192.0.2.5')] };
    expect(hostGateway('host', both)).toBe('127.0.0.1');
    expect(hostGateway('pasta', both)).toBe('192.0.2.5');
    expect(hostGateway('slirp4netns', { lo: loopback, eth0: both.eth0.slice(0, 2) })).toBe('2001:db8::5');
    expect(() => hostGateway('pasta', { lo: loopback, eth0: [face('fe80::5')] })).toThrow(
      expect.objectContaining({ code: 'NETWORK_UNAVAILABLE' }),
    );
  });

  const fallback = ['8.8.8.8', '8.8.4.4', '2001:4860:4860::8888', '2001:4860:4860::8844'];
  const stub = '# stub\nnameserver 127.0.0.53\noptions edns0\nsearch example.org\n';
  const servers = (text: string): unknown =>
    [...text.matchAll(/^nameserver (\S+)$/gm)].map((line) => line[1]);
  test.each([
    [
      'servers elsewhere stay',
      'nameserver 10.0.0.1\nnameserver fe80::1\n',
      undefined,
      ['10.0.0.1', 'fe80::1'],
    ],
    [
      'those on the loopback go',
      'nameserver 127.0.0.1\nnameserver 10.0.0.1\nnameserver ::1\n',
      'x',
      ['10.0.0.1'],
    ],
    ['where none is left there are public ones', 'nameserver 127.0.0.11\nnameserver ::1\n', 'x', fallback],
    ['without any too', 'search example.org\n', undefined, fallback],
    ['without a file too', undefined, undefined, fallback],
    ['behind the stub of systemd-resolved are its servers', stub, 'nameserver 10.9.9.9\n', ['10.9.9.9']],
    [
      'a stub beside another server is an address on the loopback',
      `${stub}nameserver 10.0.0.1\n`,
      'nameserver 1.1.1.1',
      ['10.0.0.1'],
    ],
    ['a stub with nothing behind it', stub, undefined, fallback],
    ['a stub with a loopback behind it', stub, 'nameserver 127.0.0.1\n', fallback],
  ])('/etc/resolv.conf: %s', (_what, main, systemd, expected) => {
    expect(servers(resolvConf('none', { main, systemd }))).toEqual(expected);
    // The helper asks on the host, where a loopback is a loopback.
    expect(servers(resolvConf('slirp4netns', { main, systemd }))).toEqual(['10.0.2.3']);
  });

  test("/etc/resolv.conf keeps its other lines; on the network of the host it is the host's", () => {
    expect(resolvConf('none', { main: stub, systemd: undefined })).toMatch(
      /^# stub\noptions edns0\nsearch example\.org\nnameserver 8/,
    );
    expect(resolvConf('host', { main: stub, systemd: 'nameserver 1.1.1.1' })).toBe(stub);
    expect(servers(resolvConf('host', { main: undefined, systemd: undefined }))).toEqual(fallback);
    expect(servers(resolvConf('host', { main: 'search x\n', systemd: undefined }))).toEqual(fallback);
  });
});
