import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../src/frontend/duration.ts';
import { parsePorts } from '../../src/frontend/ports.ts';
import { isSignal } from '../../src/frontend/signals.ts';
import type { Entry } from '../../src/image/entry.ts';
import { openLayoutImage } from '../../src/image/oci-layout.ts';
import { readTar } from '../../src/image/tar.ts';
import { build, inspectImage } from '../../src/index.ts';
import type { ContainerConfig } from '../../src/oci/config.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { faultsOf, imageOf } from './lowered.ts';

const alpine = 'docker.io/library/alpine:latest';
const defaults = {
  Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  WorkingDir: '/',
};

/** The config of a stage on a base with this one, without the base's PATH. */
async function configOn(base: ContainerConfig, text: string): Promise<ContainerConfig> {
  const { config } = await imageOf(`FROM alpine\n${text}`, {
    bases: { [alpine]: { config: { Env: ['PATH=/bin'], ...base } } },
  });
  const { Env: _, ...rest } = config;
  return rest;
}

/** What instructions add to the empty image. */
async function added(text: string): Promise<Partial<ContainerConfig>> {
  const { config } = await imageOf(`FROM scratch\n${text}`);
  expect(config.Env?.[0]).toBe(defaults.Env[0]);
  expect(config.WorkingDir).toBe(defaults.WorkingDir);
  const { Env: _, WorkingDir: _directory, ...rest } = config;
  return rest;
}

async function historyOf(text: string): Promise<readonly string[]> {
  return (await imageOf(`FROM scratch\n${text}`)).history;
}

describe('L-CMD-1: CMD', () => {
  test('exec form is kept as it is, shell form goes through the shell', async () => {
    expect(await added('CMD ["a", "$B c"]')).toEqual({ Cmd: ['a', '$B c'], ArgsEscaped: true });
    expect(await added('CMD a $B  "c"')).toEqual({
      Cmd: ['/bin/sh', '-c', 'a $B  "c"'],
      ArgsEscaped: true,
    });
    expect(await added('SHELL ["/bin/bash", "-c"]\nCMD a')).toEqual({
      Cmd: ['/bin/bash', '-c', 'a'],
      ArgsEscaped: true,
      Shell: ['/bin/bash', '-c'],
    });
    // What is no JSON is a command of the shell; what is JSON, but not of strings, is a fault.
    expect((await added("CMD ['a']")).Cmd).toEqual(['/bin/sh', '-c', "['a']"]);
    expect(await faultsOf('FROM scratch\nCMD ["a", 1]')).toEqual([
      'DOCKERFILE_SYNTAX 2:5 the JSON form takes an array of strings only',
    ]);
  });

  test('the last one wins, and several are warned of', async () => {
    const { config, warnings } = await imageOf('FROM scratch\nCMD ["a"]\nCMD ["b"]');
    expect(config.Cmd).toEqual(['b']);
    expect(warnings).toEqual(['MultipleInstructionsDisallowed']);
  });

  test('CMD [] clears what was inherited; CMD alone is an empty command of the shell', async () => {
    expect(await configOn({ Cmd: ['x'] }, 'CMD []')).toEqual({ ArgsEscaped: true });
    expect(await configOn({ Cmd: ['x'] }, 'CMD')).toEqual({ Cmd: ['/bin/sh', '-c', ''], ArgsEscaped: true });
  });

  test('shell form is warned of, unless a SHELL was chosen, here or in the base', async () => {
    const warningsOf = async (text: string, base: ContainerConfig = {}): Promise<readonly string[]> =>
      (await imageOf(`FROM alpine\n${text}`, { bases: { [alpine]: { config: base } } })).warnings;
    expect(await warningsOf('CMD a')).toEqual(['JSONArgsRecommended']);
    expect(await warningsOf('ENTRYPOINT a')).toEqual(['JSONArgsRecommended']);
    expect(await warningsOf('CMD ["a"]\nENTRYPOINT ["a"]')).toEqual([]);
    expect(await warningsOf('SHELL ["/bin/sh", "-c"]\nCMD a')).toEqual([]);
    expect(await warningsOf('CMD a', { Shell: ['/bin/sh', '-c'] })).toEqual([]);
  });

  test('takes no flags', async () => {
    expect(await faultsOf('FROM scratch\nCMD --x a')).toEqual([
      'DOCKERFILE_UNKNOWN_FLAG 2:5 CMD has no flag `--x` | CMD takes no flags',
    ]);
  });
});

describe('L-ENTRY-1: ENTRYPOINT', () => {
  test('exec and shell form, [] takes it away', async () => {
    expect(await added('ENTRYPOINT ["/e", "x"]')).toEqual({ Entrypoint: ['/e', 'x'] });
    expect(await added('ENTRYPOINT /e x')).toEqual({ Entrypoint: ['/bin/sh', '-c', '/e x'] });
    expect(await configOn({ Entrypoint: ['/old'] }, 'ENTRYPOINT []')).toEqual({});
    expect(await added('ENTRYPOINT ["a"]\nENTRYPOINT ["b"]')).toEqual({ Entrypoint: ['b'] });
  });

  test('clears a CMD that was inherited, from an image or from a stage', async () => {
    expect(await configOn({ Cmd: ['old'] }, 'ENTRYPOINT ["/e"]')).toEqual({ Entrypoint: ['/e'] });
    expect(await configOn({ Cmd: ['old'] }, 'ENTRYPOINT []')).toEqual({});
    const stages = 'FROM scratch AS a\nCMD ["old"]\nFROM a\nENTRYPOINT ["/e"]';
    expect((await imageOf(stages)).config.Cmd).toBeUndefined();
  });

  test('leaves a CMD of its own stage alone, wherever it stands', async () => {
    const both = { Cmd: ['new'], Entrypoint: ['/e'], ArgsEscaped: true };
    expect(await configOn({ Cmd: ['old'] }, 'CMD ["new"]\nENTRYPOINT ["/e"]')).toEqual(both);
    expect(await configOn({ Cmd: ['old'] }, 'ENTRYPOINT ["/e"]\nCMD ["new"]')).toEqual(both);
    expect(await configOn({ Cmd: ['old'] }, 'CMD []\nENTRYPOINT ["/e"]')).toEqual({
      Entrypoint: ['/e'],
      ArgsEscaped: true,
    });
  });
});

describe('L-LABEL-1: LABEL', () => {
  test('pairs, quoted keys and values, variables, the old form', async () => {
    const text =
      'ARG V=1\nLABEL a=1 "b c"="d e" f=\'$V\' g=$V h="$V\\"" i=\nLABEL old  with   blanks "kept"\nLABEL multi=one\\\ntwo';
    expect(await added(text)).toEqual({
      Labels: {
        a: '1',
        'b c': 'd e',
        f: '$V',
        g: '1',
        h: '1"',
        i: '',
        old: 'with   blanks kept',
        multi: 'onetwo',
      },
    });
  });

  test('a later one overrides, the base is kept, --label wins at the end', async () => {
    const base = { bases: { [alpine]: { config: { Labels: { of: 'base', a: 'base', b: 'base' } } } } };
    const file = 'FROM alpine\nLABEL a=1 b=1\nLABEL a=2';
    expect((await imageOf(file, base)).config.Labels).toEqual({ of: 'base', a: '2', b: '1' });
    expect((await imageOf(file, { ...base, labels: { a: '3', c: '' } })).config.Labels).toEqual({
      of: 'base',
      a: '3',
      b: '1',
      c: '',
    });
  });

  test('a key may be any text, names of object members among them', async () => {
    const { Labels } = await added('LABEL __proto__=1 constructor=2 "é ü"=3');
    expect(JSON.stringify(Labels)).toBe('{"__proto__":"1","constructor":"2","é ü":"3"}');
  });

  test('faults', async () => {
    expect(await faultsOf('FROM scratch\nLABEL\nLABEL a\nLABEL a=1 b\nLABEL =x')).toEqual([
      'DOCKERFILE_SYNTAX 2:1 LABEL needs a name and a value',
      'DOCKERFILE_SYNTAX 3:1 LABEL needs a name and a value: write name=value',
      'DOCKERFILE_SYNTAX 4:11 `b` has no `=` | write name=value; a value with blanks needs quotes',
      'DOCKERFILE_SYNTAX 5:7 the name before `=` is empty',
    ]);
    expect(await faultsOf('FROM scratch\nLABEL ""=x')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:7 a name is empty',
    ]);
  });
});

describe('L-MAINT-1: MAINTAINER', () => {
  test('is the author, as written, warned of', async () => {
    const { warnings } = await imageOf('FROM scratch\nMAINTAINER A "B" <$c@d>');
    expect(warnings).toEqual(['MaintainerDeprecated']);
    expect(await historyOf('MAINTAINER A "B" <$c@d>')).toEqual(['MAINTAINER A "B" <$c@d>']);
    expect(await faultsOf('FROM scratch\nMAINTAINER')).toEqual([
      'DOCKERFILE_SYNTAX 2:1 MAINTAINER needs an argument',
    ]);
  });

  test('reaches the config of the image, where the last one counts', async () => {
    await using folder = await tempFolder('author');
    await build({
      context: folder.path,
      dockerfile: { text: 'FROM scratch\nMAINTAINER one\nMAINTAINER two' },
      root: join(folder.path, 'store'),
      tags: ['by'],
      env: {},
    });
    const { config } = await inspectImage({ root: join(folder.path, 'store'), image: 'by' });
    expect(config.author).toBe('two');
  });
});

describe('L-EXPOSE-1: EXPOSE', () => {
  const portsOf = async (text: string): Promise<readonly string[]> =>
    Object.keys((await added(text)).ExposedPorts ?? {});

  test.each([
    ['80', ['80/tcp']],
    ['0 65535', ['0/tcp', '65535/tcp']],
    ['080', ['80/tcp']],
    ['53/udp 53/TCP 9/Sctp', ['53/tcp', '53/udp', '9/sctp']],
    ['80/', ['80/tcp']],
    ['8000-8002/udp', ['8000/udp', '8001/udp', '8002/udp']],
    ['7-7', ['7/tcp']],
    ['80 80 80/tcp', ['80/tcp']],
    ['1.2.3.4:99:100', ['100/tcp']],
    ['99:100', ['100/tcp']],
    ['[::1]:99:100/udp', ['100/udp']],
    ['::1:99:100', ['100/tcp']],
    ['127.0.0.1::100', ['100/tcp']],
    ['8000-8001:80', ['80/tcp']],
    ['8000-8001:80-81', ['80/tcp', '81/tcp']],
    ['"80"', ['80/tcp']],
  ])('%s', async (text, ports) => {
    expect(await portsOf(`EXPOSE ${text}`)).toEqual(ports.toSorted());
  });

  test('variables may be several words, or none', async () => {
    expect(await portsOf('ENV P="80 90-91/udp" N=\nEXPOSE $P $N ${P%%?90*}')).toEqual([
      '80/tcp',
      '90/udp',
      '91/udp',
    ]);
  });

  test('those of the base stay', async () => {
    expect(await configOn({ ExposedPorts: { '1/tcp': {} } }, 'EXPOSE 2')).toEqual({
      ExposedPorts: { '1/tcp': {}, '2/tcp': {} },
    });
  });

  test('history lists the arguments sorted as written, each port of a range', async () => {
    expect(await historyOf('ENV P=9\nEXPOSE 443 80/udp 8000-8001 $P 1.2.3.4:5:6 443/tcp')).toEqual([
      'ENV P=9',
      'EXPOSE [9/tcp 6/tcp 443/tcp 443/tcp 80/udp 8000/tcp 8001/tcp]',
    ]);
  });

  test('upper case and host ports are warned of', async () => {
    const { warnings } = await imageOf('FROM scratch\nEXPOSE 1/UDP 2:3');
    expect(warnings).toEqual(['ExposeProtoCasing', 'ExposeInvalidFormat']);
  });

  test.each([
    ['65536', '`65536` is no port number and no range of them'],
    ['-1', '`-1` is no port number and no range of them'],
    ['9-8', '`9-8` is no port number and no range of them'],
    ['1-2-3', '`1-2-3` is no port number and no range of them'],
    ['http', '`http` is no port number and no range of them'],
    ['/tcp', '`` is no port number and no range of them'],
    ['80/icmp', '`icmp` is no protocol: there are tcp, udp and sctp'],
    ['1.2.3.256:1:2', '`1.2.3.256` is no IP address'],
    ['host:1:2', '`host` is no IP address'],
    ['x:2', '`x` is no port of the host'],
    ['1-2:80-82', 'the ranges `1-2` and `80-82` have different lengths'],
  ])('%s is refused', async (text, why) => {
    expect(await faultsOf(`FROM scratch\nEXPOSE 1 ${text}`)).toEqual([
      `DOCKERFILE_BAD_ARGUMENT 2:10 \`${text}\` is no port: ${why} | write 80, 80/udp or 8000-8010/tcp, with numbers up to 65535`,
    ]);
  });

  test('all ports there are can be listed, but not over and over', async () => {
    const all = '0-65535 0-65535/udp 0-65535/sctp';
    expect(await portsOf(`EXPOSE ${all}`)).toHaveLength(3 * 65_536);
    expect(await faultsOf(`FROM scratch\nEXPOSE ${all} 1`)).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:41 EXPOSE lists more than 196608 ports',
    ]);
    expect(await faultsOf('FROM scratch\nEXPOSE')).toEqual([
      'DOCKERFILE_SYNTAX 2:1 EXPOSE needs an argument',
    ]);
  });

  test('an IPv6 address needs no brackets', () => {
    expect(parsePorts('fe80::1:10:20')).toEqual({ first: 20, last: 20, proto: 'tcp' });
    expect(() => parsePorts('fe80::zz:10:20')).toThrow('is no IP address');
  });
});

describe('L-VOL-1: VOLUME', () => {
  test('words or JSON; variables, quotes; no layer', async () => {
    expect(await added('ENV D=/d\nVOLUME /a $D/b "/c"')).toEqual({
      Volumes: { '/a': {}, '/c': {}, '/d/b': {} },
    });
    expect(await added('VOLUME [" /a b ", "/c"]')).toEqual({ Volumes: { '/a b': {}, '/c': {} } });
    expect(await historyOf('VOLUME ["/b", " /a "]')).toEqual(['VOLUME [/b /a]']);
    expect((await imageOf('FROM scratch\nVOLUME /a')).steps).toEqual([]);
  });

  test('those of the base stay', async () => {
    expect(await configOn({ Volumes: { '/z': {} } }, 'VOLUME /a')).toEqual({
      Volumes: { '/a': {}, '/z': {} },
    });
  });

  test('an empty path is refused', async () => {
    const fault = (column: number): readonly string[] => [
      `DOCKERFILE_BAD_ARGUMENT 2:${column} a volume has no path`,
    ];
    expect(await faultsOf('FROM scratch\nVOLUME ["/a", " "]')).toEqual(fault(8));
    expect(await faultsOf('FROM scratch\nVOLUME /a $EMPTY')).toEqual(fault(11));
    expect(await faultsOf('FROM scratch\nVOLUME')).toEqual([
      'DOCKERFILE_SYNTAX 2:1 VOLUME needs an argument',
    ]);
    expect(await faultsOf('FROM scratch\nVOLUME [1]')).toEqual([
      'DOCKERFILE_SYNTAX 2:8 the JSON form takes an array of strings only',
    ]);
  });
});

describe('L-USER-1: USER in the config', () => {
  test('is kept as written, with variables; an empty one is root', async () => {
    expect(await added('ARG U=app\nUSER $U:"staff"')).toEqual({ User: 'app:staff' });
    expect(await added('USER 0012:7')).toEqual({ User: '0012:7' });
    expect(await configOn({ User: 'app' }, 'USER $NOBODY')).toEqual({});
    expect(await historyOf('USER a\nUSER 1:2')).toEqual(['USER a', 'USER 1:2']);
  });

  test('takes all that stands there, and no id that would wrap', async () => {
    expect(await added('USER a b')).toEqual({ User: 'a b' });
    expect(await faultsOf('FROM scratch\nUSER')).toEqual(['DOCKERFILE_SYNTAX 2:1 USER needs an argument']);
    expect(await faultsOf('FROM scratch\nUSER 2147483648')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:6 the id 2147483648 is larger than 2147483647',
    ]);
    expect(await faultsOf('FROM scratch\nUSER 1:4294967296')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:6 the id 4294967296 is larger than 2147483647',
    ]);
  });
});

describe('L-WD-1: WORKDIR', () => {
  const directoryOf = async (base: string | undefined, text: string): Promise<string | undefined> =>
    (await configOn(base === undefined ? {} : { WorkingDir: base }, text)).WorkingDir;

  test.each([
    [undefined, 'WORKDIR a', '/a'],
    ['/srv', 'WORKDIR a', '/srv/a'],
    ['/srv', 'WORKDIR /a\nWORKDIR b\nWORKDIR ../c/./d//', '/a/c/d'],
    ['/srv', 'WORKDIR ../../..', '/'],
    ['/srv', 'WORKDIR "/a b"', '/a b'],
    ['/srv', 'WORKDIR /a b', '/a b'],
    ['/srv', 'ENV D=x\nWORKDIR ${D}/$D', '/srv/x/x'],
    ['/srv', 'WORKDIR $NOTHING', '/srv'],
    [undefined, 'WORKDIR $NOTHING', '/'],
  ])('on %s: %s', async (base, text, directory) => {
    expect(await directoryOf(base, text)).toBe(directory);
  });

  test('a layer of its own, unless it is the root', async () => {
    expect(await historyOf('WORKDIR /\nWORKDIR a\nWORKDIR ..')).toEqual([
      'WORKDIR /',
      '* WORKDIR /a',
      'WORKDIR /',
    ]);
    expect((await imageOf('FROM scratch\nWORKDIR x/../y')).steps).toEqual(['[1/1] WORKDIR /y']);
    expect(await faultsOf('FROM scratch\nWORKDIR')).toEqual([
      'DOCKERFILE_SYNTAX 2:1 WORKDIR needs an argument',
    ]);
  });

  test('a relative one is warned of when it is the first of its file', async () => {
    const warningsOf = async (text: string): Promise<readonly string[]> =>
      (await imageOf(text, { bases: { [alpine]: { config: { WorkingDir: '/srv' } } } })).warnings;
    expect(await warningsOf('FROM alpine\nWORKDIR a\nWORKDIR b')).toEqual(['WorkdirRelativePath']);
    expect(await warningsOf('FROM alpine\nWORKDIR /a\nWORKDIR b')).toEqual([]);
    expect(await warningsOf('FROM alpine AS x\nWORKDIR /a\nFROM x\nWORKDIR b')).toEqual([]);
  });

  let work: TempFolder;
  beforeAll(async () => {
    work = await tempFolder('workdir');
    const rootfs = join(work.path, 'etc');
    mkdirSync(rootfs);
    writeFileSync(join(rootfs, 'passwd'), 'root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n');
    writeFileSync(join(rootfs, 'group'), 'root:x:0:\napp:x:1001:\nweb:x:33:\n');
  });
  afterAll(() => work[Symbol.asyncDispose]());

  /** The last layer of what is built on a base with users. */
  async function lastLayer(
    text: string,
  ): Promise<readonly Pick<Entry, 'path' | 'type' | 'mode' | 'uid' | 'gid'>[]> {
    const root = join(work.path, 'store');
    const { descriptor } = await build({
      context: work.path,
      dockerfile: { text: `FROM scratch\nCOPY etc /etc\n${text}` },
      root,
      env: {},
      sourceDateEpoch: 0,
    });
    if (descriptor === undefined) throw new Error('no image');
    const layers = await (await openLayoutImage(root, { descriptor })).layers();
    const last = layers.at(-1);
    if (last === undefined) throw new Error('no layer');
    const entries = [];
    for await (const entry of readTar(last.uncompressed(), { whiteouts: true })) {
      const { path, type, mode, uid, gid } = entry;
      entries.push({ path, type, mode, uid, gid });
    }
    return entries;
  }

  const directory = (path: string, uid: number, gid: number): object => ({
    path,
    type: 'directory',
    mode: 0o755,
    uid,
    gid,
  });

  test('the directory and its missing parents are made, mode 0755, for the user of that place', async () => {
    expect(await lastLayer('WORKDIR /a/b')).toEqual([directory('a', 0, 0), directory('a/b', 0, 0)]);
    expect(await lastLayer('USER app\nWORKDIR /a/b')).toEqual([
      directory('a', 1000, 1001),
      directory('a/b', 1000, 1001),
    ]);
    expect(await lastLayer('USER app:web\nWORKDIR /a')).toEqual([directory('a', 1000, 33)]);
    expect(await lastLayer('USER 7\nWORKDIR /a')).toEqual([directory('a', 7, 0)]);
    expect(await lastLayer('USER 7:8\nWORKDIR /a')).toEqual([directory('a', 7, 8)]);
    expect(await lastLayer('USER 1000\nWORKDIR /a')).toEqual([directory('a', 1000, 1001)]);
  });

  test('a directory that is there stays as it is, also below one that is not', async () => {
    expect(await lastLayer('USER app\nWORKDIR /etc')).toEqual([]);
    expect(await lastLayer('USER app\nWORKDIR /etc/x')).toEqual([
      directory('etc', 0, 0),
      directory('etc/x', 1000, 1001),
    ]);
  });

  test('a user that is not there, or a file in the way, is told with the line', async () => {
    await expect(lastLayer('USER nemo\nWORKDIR /a')).rejects.toMatchObject({
      code: 'USER_UNKNOWN',
      source: { range: { start: { line: 4 } } },
    });
    await expect(lastLayer('WORKDIR /etc/passwd/x')).rejects.toMatchObject({
      code: 'COPY_INVALID',
      source: { range: { start: { line: 3 } } },
    });
  });
});

describe('L-STOP-1: STOPSIGNAL', () => {
  test.each(['SIGTERM', 'TERM', 'sigkill', '9', '64', 'SIGRTMIN', 'RTMIN+15', 'SIGRTMAX-14', 'SIGRTMAX'])(
    '%s is a signal',
    async (signal) => {
      expect(await added(`STOPSIGNAL ${signal}`)).toEqual({ StopSignal: signal });
      expect(await historyOf(`STOPSIGNAL ${signal}`)).toEqual([`STOPSIGNAL ${signal}`]);
    },
  );

  test.each(['SIGNOPE', '0', '65', '-1', 'RTMIN+16', 'RTMAX-15', 'RTMIN+0', 'SIGSIGTERM', 'TERM 1'])(
    '%s is none',
    async (signal) => {
      expect(isSignal(signal)).toBe(false);
      expect(await faultsOf(`FROM scratch\nSTOPSIGNAL ${signal}`)).toEqual([
        `DOCKERFILE_BAD_ARGUMENT 2:12 \`${signal}\` is no signal | write a name like SIGTERM or a number from 1 to 64`,
      ]);
    },
  );

  test('variables; nothing is a fault; the base says it otherwise', async () => {
    expect(await added('ARG S=QUIT\nSTOPSIGNAL SIG$S')).toEqual({ StopSignal: 'SIGQUIT' });
    expect(await faultsOf('FROM scratch\nSTOPSIGNAL $S')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:12 the argument of STOPSIGNAL is empty',
    ]);
    expect(await faultsOf('FROM scratch\nSTOPSIGNAL')).toEqual([
      'DOCKERFILE_SYNTAX 2:1 STOPSIGNAL needs an argument',
    ]);
    expect(await added('')).toEqual({});
  });
});

describe('L-HC-1: HEALTHCHECK', () => {
  const health = async (text: string): Promise<ContainerConfig['Healthcheck']> =>
    (await added(`HEALTHCHECK ${text}`)).Healthcheck;
  const second = 1e9;

  test('NONE, with no arguments', async () => {
    expect(await health('NONE')).toEqual({ Test: ['NONE'] });
    expect(await health('--interval=5s none')).toEqual({ Test: ['NONE'] });
    expect(await faultsOf('FROM scratch\nHEALTHCHECK NONE x')).toEqual([
      'DOCKERFILE_SYNTAX 2:18 HEALTHCHECK NONE takes no arguments',
    ]);
  });

  test('a command of the shell or exec form', async () => {
    expect(await health('CMD curl -f "$URL" || exit 1')).toEqual({
      Test: ['CMD-SHELL', 'curl -f "$URL" || exit 1'],
    });
    expect(await health('cmd ["curl", "-f"]')).toEqual({ Test: ['CMD', 'curl', '-f'] });
  });

  test('all options; what is not given, or is 0, is inherited and not kept', async () => {
    expect(
      await health(
        '--interval=1m30s --timeout=1.5s --start-period=0s --start-interval=100ms --retries=3 CMD x',
      ),
    ).toEqual({
      Test: ['CMD-SHELL', 'x'],
      Interval: 90 * second,
      Timeout: 1.5 * second,
      StartInterval: 0.1 * second,
      Retries: 3,
    });
    expect(await health('--interval=0 --retries=0 CMD x')).toEqual({ Test: ['CMD-SHELL', 'x'] });
    expect(await health('--retries=2147483647 --start-period=1ms CMD x')).toEqual({
      Test: ['CMD-SHELL', 'x'],
      StartPeriod: 1e6,
      Retries: 2_147_483_647,
    });
  });

  test('the last one wins and replaces the base whole', async () => {
    const base = { Healthcheck: { Test: ['CMD', 'old'], Retries: 9, Interval: second } };
    expect(await configOn(base, 'HEALTHCHECK CMD a\nHEALTHCHECK --timeout=2s CMD b')).toEqual({
      Healthcheck: { Test: ['CMD-SHELL', 'b'], Timeout: 2 * second },
    });
    const { warnings } = await imageOf('FROM scratch\nHEALTHCHECK NONE\nHEALTHCHECK NONE');
    expect(warnings).toEqual(['MultipleInstructionsDisallowed']);
  });

  test('history shows it as Go prints a structure', async () => {
    expect(
      await historyOf(
        'HEALTHCHECK --interval=5m --timeout=1500ms --start-interval=2h0.25s --retries=3 CMD a  b\nHEALTHCHECK NONE\nHEALTHCHECK CMD ["a", "b c"]',
      ),
    ).toEqual([
      'HEALTHCHECK {Test:[CMD-SHELL a  b] Interval:5m0s Timeout:1.5s StartPeriod:0s StartInterval:2h0m0.25s Retries:3}',
      'HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}',
      'HEALTHCHECK {Test:[CMD a b c] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}',
    ]);
  });

  test.each([
    ['--interval=5', 'interval', 27],
    ['--interval=999us', 'interval', 24],
    ['--interval=-5s', 'interval', 24],
    ['--timeout=1d', 'timeout', 23],
    ['--start-period=.s', 'start-period', 28],
    ['--start-interval=1e3s', 'start-interval', 30],
    ['--timeout=9999999999h', 'timeout', 23],
  ])('%s is refused', async (flag, name) => {
    const value = flag.slice(name.length + 3);
    expect(await faultsOf(`FROM scratch\nHEALTHCHECK ${flag} CMD x`)).toEqual([
      `DOCKERFILE_BAD_ARGUMENT 2:${16 + name.length} \`--${name}\` cannot be \`${value}\` | write a duration of at least 1ms, like 30s or 1m30s`,
    ]);
  });

  test.each(['-1', 'x', '1.5', '2147483648', '0x1'])('--retries=%s is refused', async (value) => {
    expect(await faultsOf(`FROM scratch\nHEALTHCHECK --retries=${value} CMD x`)).toEqual([
      `DOCKERFILE_BAD_ARGUMENT 2:23 \`--retries\` cannot be \`${value}\` | write a whole number of at least 0`,
    ]);
  });

  test('other faults', async () => {
    const needs = 'HEALTHCHECK takes `NONE`, or `CMD` and a command';
    expect(
      await faultsOf(
        'FROM scratch\nHEALTHCHECK\nHEALTHCHECK CDM x\nHEALTHCHECK CMD\nHEALTHCHECK CMD []\nHEALTHCHECK CMD [1]\nHEALTHCHECK --intervall=1s CMD x\nHEALTHCHECK --retries=1 --retries=2 CMD x',
      ),
    ).toEqual([
      `DOCKERFILE_SYNTAX 2:1 ${needs}`,
      `DOCKERFILE_SYNTAX 3:13 ${needs} | did you mean \`CMD\`?`,
      'DOCKERFILE_SYNTAX 4:1 HEALTHCHECK needs a command behind `CMD`',
      'DOCKERFILE_SYNTAX 5:1 HEALTHCHECK needs a command behind `CMD`',
      'DOCKERFILE_SYNTAX 6:17 the JSON form takes an array of strings only',
      'DOCKERFILE_UNKNOWN_FLAG 7:13 HEALTHCHECK has no flag `--intervall` | did you mean `--interval`?',
      'DOCKERFILE_SYNTAX 8:25 the flag `--retries` stands twice',
    ]);
  });

  test('durations as Go reads and prints them', () => {
    const rows: readonly (readonly [text: string, printed: string])[] = [
      ['1ns', '1ns'],
      ['1.5us', '1.5µs'],
      ['1µs', '1µs'],
      ['2μs', '2µs'],
      ['1h', '1h0m0s'],
      ['+1m', '1m0s'],
      ['90m', '1h30m0s'],
      ['1.s', '1s'],
      ['.5s', '500ms'],
      ['0.3ns', '0s'],
      ['2000h0.000000001s', '2000h0m0.000000001s'],
      ['1h1m1s1ms1us1ns', '1h1m1.001001001s'],
      ['0', '0s'],
    ];
    expect(rows.map(([text]) => [text, formatDuration(parseDuration(text) ?? Number.NaN)])).toEqual(rows);
    for (const text of ['', '1', 's', '1 s', '1S', '.', '1m-1s', '2562048h']) {
      expect(parseDuration(text), text).toBeUndefined();
    }
    expect(parseDuration('2562047h')).toBe(2_562_047 * 3600e9);
  });
});

describe('L-SHELL-1: SHELL', () => {
  test('JSON only, and never empty', async () => {
    expect(await added('SHELL ["/bin/bash", "-o", "pipefail", "-c"]')).toEqual({
      Shell: ['/bin/bash', '-o', 'pipefail', '-c'],
    });
    for (const text of ['/bin/bash -c', '[]', '["a", 1]', "['a']", '']) {
      expect(await faultsOf(`FROM scratch\nSHELL ${text}`)).toEqual([
        expect.stringMatching(
          /^DOCKERFILE_SYNTAX 2:\d+ SHELL takes a JSON array of strings \| write SHELL \["\/bin\/bash", "-c"\]$/,
        ),
      ]);
    }
  });

  test('serves the RUN, CMD and ENTRYPOINT after it, each SHELL those up to the next; it is inherited', async () => {
    const file =
      'FROM scratch AS a\nRUN one\nSHELL ["/a", "-x"]\nRUN two\nRUN ["three"]\nSHELL ["/b"]\nCMD four\nFROM a\nENTRYPOINT five';
    const { history, config } = await imageOf(file);
    expect(history).toEqual([
      '* RUN /bin/sh -c one # buildkit',
      'SHELL [/a -x]',
      '* RUN /a -x two # buildkit',
      '* RUN three # buildkit',
      'SHELL [/b]',
      'CMD ["/b" "four"]',
      'ENTRYPOINT ["/b" "five"]',
    ]);
    expect(config.Shell).toEqual(['/b']);
    expect(await configOn({ Shell: ['/c'] }, 'CMD x')).toEqual({
      Shell: ['/c'],
      Cmd: ['/c', 'x'],
      ArgsEscaped: true,
    });
  });
});
