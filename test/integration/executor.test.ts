import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LOCK_EX, flock } from '../../src/host/syscalls.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import type { MountSource, StepMount } from '../../src/executor/step.ts';
import { requireTool, suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { Bench } from './executor-steps.ts';
import { allRuntimes, bench, makeRootfs } from './executor-steps.ts';

const owner = { mode: 0o400, uid: 0, gid: 0 };
const cacheMount: Extract<StepMount, { type: 'cache' }> = {
  ...{ type: 'cache', target: '/cache', id: 'c', sharing: 'shared', readonly: false },
  ...{ source: '/', mode: 0o755, uid: 0, gid: 0 },
};

/** Everything below a directory, sorted. */
function listing(directory: string): string[] {
  return (readdirSync(directory, { recursive: true }) as string[]).toSorted();
}

suite(
  'a step in the sandbox',
  ['root', tool('runc'), tool('crun'), tool('busybox', 'busybox-static')],
  () => {
    let folder: TempFolder;
    let layer: string;
    beforeAll(async () => {
      folder = await tempFolder('executor');
      layer = makeRootfs(join(folder.path, 'root:fs,1'));
    });
    afterAll(() => folder[Symbol.asyncDispose]());

    describe.each(allRuntimes)('on %s', (runtime) => {
      let steps: Bench;
      beforeAll(() => {
        steps = bench(join(folder.path, runtime), { runtime, layer });
      });

      test('streams output and returns the exit code', async () => {
        const seen: string[] = [];
        const result = await steps.run('echo one; sleep 0.2; echo two >&2; exit 7', {
          onOutput: (stream, data) => seen.push(`${stream} ${Buffer.from(data).toString().trim()}`),
        });
        expect(result.exitCode).toBe(7);
        expect(seen).toEqual(['stdout one', 'stderr two']);
        await result.discard();
        expect(existsSync(result.upper)).toBe(false);
      });

      test('reports the signal that ended the process as 128 + n', async () => {
        const result = await steps.run('sh -c "kill -9 \\$\\$"; exit $?');
        expect(result.exitCode).toBe(137);
      });

      test('opens /dev/stdout and /dev/stderr by name, also for another user', async () => {
        const result = await steps.run('echo a >/dev/stdout; echo b >/dev/stderr', {
          op: { user: 'worker' },
        });
        expect([result.exitCode, result.stdout, result.stderr]).toEqual([0, 'a\n', 'b\n']);
      });

      test('gives the environment, HOME from passwd and nothing of the host', async () => {
        const result = await steps.run('env', {
          op: { env: ['PATH=/bin', 'A=1', 'A=x y=z'], user: 'worker' },
          env: ['http_proxy=http://proxy:1'],
        });
        const lines = result.stdout.trim().split('\n').toSorted();
        expect(lines).toEqual([
          ...['A=x y=z', 'HOME=/home/worker', 'PATH=/bin', 'PWD=/', 'SHLVL=1'],
          'http_proxy=http://proxy:1',
        ]);
      });

      test.each([
        ['', 'uid=0(root) gid=0(root) groups=0(root),44(video)'],
        ['worker', 'uid=1000(worker) gid=1001(workers) groups=44(video),1001(workers)'],
        ['1000', 'uid=1000(worker) gid=1001(workers) groups=44(video),1001(workers)'],
        ['worker:video', 'uid=1000(worker) gid=44(video) groups=44(video)'],
        ['4321', 'uid=4321 gid=0(root) groups=0(root)'],
        ['4321:55', 'uid=4321 gid=55 groups=55'],
      ])('runs as user `%s`', async (user, expected) => {
        expect((await steps.run('id', { op: { user } })).stdout.trim()).toBe(expected);
      });

      test('refuses unknown users and ids that overflow', async () => {
        await expect(steps.run('id', { op: { user: 'nobody' } })).rejects.toMatchObject({
          code: 'USER_UNKNOWN',
        });
        await expect(steps.run('id', { op: { user: 'root:nogroup' } })).rejects.toMatchObject({
          code: 'USER_UNKNOWN',
        });
        await expect(steps.run('id', { op: { user: '4294967296' } })).rejects.toMatchObject({
          code: 'USER_UNKNOWN',
        });
      });

      test('makes the working directory for its user, and keeps it', async () => {
        const result = await steps.run('pwd; stat -c "%a %u %g" . ..', {
          op: { cwd: '/srv/app', user: 'worker' },
        });
        expect(result.stdout).toBe('/srv/app\n755 1000 1001\n755 1000 1001\n');
        expect(listing(result.upper)).toEqual(['srv', 'srv/app']);
      });

      test('has exactly the rights of the sandbox', async () => {
        const status = (await steps.run('cat /proc/self/status; umask; hostname')).stdout;
        const field = (name: string): string | undefined =>
          new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1];
        expect(['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map(field)).toEqual([
          '0000000000000000',
          ...['00000000a80425fb', '00000000a80425fb', '00000000a80425fb'],
          '0000000000000000',
        ]);
        expect([field('Seccomp'), field('Seccomp_filters'), field('NoNewPrivs')]).toEqual(['2', '1', '0']);
        expect([field('SigIgn'), field('SigBlk')]).toEqual(['0000000000000000', '0000000000000000']);
        expect(status).toMatch(/\n0022\nbuildkitsandbox\n$/);
      });

      test('a user other than root has no capabilities, but the bounding set', async () => {
        const { stdout } = await steps.run('grep Cap /proc/self/status', { op: { user: 'worker' } });
        expect(stdout.match(/[0-9a-f]{16}/g)).toEqual([
          ...['0000000000000000', '0000000000000000', '0000000000000000'],
          ...['00000000a80425fb', '0000000000000000'],
        ]);
      });

      test('cannot mount, make namespaces, or write to /proc/sys and /sys', async () => {
        const { stdout } = await steps.run(
          [
            'mount -t tmpfs x /tmp || echo mount',
            'unshare -m true || echo unshare',
            'unshare -U true || echo userns',
            'echo 1 > /proc/sys/kernel/core_uses_pid || echo sys',
            'echo b > /proc/sysrq-trigger || echo sysrq',
            'touch /sys/x || echo sysfs',
            'chroot / true && echo chroot works',
          ].join('\n'),
        );
        expect(stdout.trim().split('\n')).toEqual([
          'mount',
          'unshare',
          'userns',
          'sys',
          'sysrq',
          'sysfs',
          'chroot works',
        ]);
      });

      test('masks what tells about the host', async () => {
        const { stdout } = await steps.run(
          'cat /proc/keys /proc/timer_list /proc/kcore | head -c 9 | wc -c; ls /sys/firmware | wc -l',
        );
        expect(stdout.trim().split(/\s+/)).toEqual(['0', '0']);
      });

      test('sees its own processes alone, and few devices', async () => {
        const { stdout } = await steps.run(
          'echo /proc/[0-9]*; ls /dev; stat -c %a /dev/shm; df -k /dev/shm | tail -1',
        );
        expect(stdout.split('\n').slice(0, 1)).toEqual(['/proc/1']);
        expect(stdout.split('\n').slice(1, -3)).toEqual([
          ...[
            // A link to what is masked.
            ...(runtime === 'crun' ? ['core'] : []),
            'fd',
            'full',
            'mqueue',
            'null',
            'ptmx',
            'pts',
            'random',
            'shm',
            'stderr',
            'stdin',
            'stdout',
            'tty',
          ],
          ...['urandom', 'zero'],
        ]);
        expect(stdout).toMatch(/\n1777\nshm\s+65536 /);
      });

      test('cannot use a block device that it makes', async () => {
        // The device of the filesystem that the tests are on: it exists.
        const { dev } = statSync(folder.path, { bigint: true });
        const [major, minor] = [(dev >> 8n) & 0xfffn, dev & 0xffn];
        const { stdout } = await steps.run(
          `for d in /disk /dev/disk /tmp/disk; do mknod $d b ${major} ${minor}; head -c 1 $d >/dev/null 2>&1 && echo read; done; echo end`,
        );
        expect(stdout).toBe('end\n');
      });

      test('cannot change the devices of the host, and can use its own', async () => {
        const before = statSync('/dev/null').ctimeMs;
        // The owner that it has already: what gets through does no harm.
        const change = 'for f in /dev/null /dev/full /dev/tty /dev/stdin; do chown 0:0 $f; done';
        const use =
          'echo x >/dev/null && cat </dev/stdin && head -c 3 /dev/zero | wc -c; echo x >/dev/full || echo full';
        const result = await steps.run(`(${change}) 2>/dev/null; ${use}`);
        expect(result.stdout).toBe('3\nfull\n');
        expect(statSync('/dev/null').ctimeMs).toBe(before);
      });

      test('has no descriptor of the host', async () => {
        const { stdout } = await steps.run(['/bin/ls', '-l', '/proc/self/fd']);
        const targets = stdout.split('\n').flatMap((line) => / -> (.*)$/.exec(line)?.[1] ?? []);
        // Standard streams, and the directory that ls has open.
        expect(targets.filter((target) => !/^(\/dev\/null|pipe:\[\d+\])$/.test(target))).toEqual([]);
        expect(targets.length).toBe(3);
      });

      test('has no controlling terminal, and a session of its own', async () => {
        const { stdout } = await steps.run(
          'cut -d" " -f6,7 /proc/self/stat; cat /proc/1/stat | cut -d" " -f6',
        );
        const [session, first] = stdout.trim().split('\n');
        expect([session, first]).toEqual(['1 0', '1']);
      });

      test('network `none` has the loopback alone, and it works', async () => {
        const { stdout } = await steps.run('ls /sys/class/net; ip addr show lo | grep -c "127.0.0.1"', {
          op: { network: 'none' },
        });
        expect(stdout).toBe('lo\n1\n');
      });

      test('network `host` is that of the host', async () => {
        const { stdout } = await steps.run('readlink /proc/self/ns/net; cat /etc/resolv.conf', {
          op: { network: 'host' },
        });
        expect(stdout).toContain(readFileSync('/etc/resolv.conf', 'utf8'));
        expect(stdout).toContain(/net:\[\d+\]/.exec(stdout)?.[0] ?? 'no namespace');
      });

      test('shows hosts and resolv.conf read-only and leaves no trace of their stubs', async () => {
        const before = lstatSync(join(layer, 'etc'), { bigint: true }).mtimeNs;
        const result = await steps.run(
          'cat /etc/hosts; echo x >> /etc/hosts || echo ro; echo x >> /etc/resolv.conf || echo ro; touch /made',
          { extraHosts: ['db:10.0.0.9', 'v6=[fe80::1]'] },
        );
        expect(result.stdout.split('\n')).toEqual([
          ...['127.0.0.1\tlocalhost buildkitsandbox', '::1\tlocalhost ip6-localhost ip6-loopback'],
          ...['10.0.0.9\tdb', 'fe80::1\tv6', 'ro', 'ro', ''],
        ]);
        expect(listing(result.upper)).toEqual(['made']);
        expect(lstatSync(join(layer, 'etc'), { bigint: true }).mtimeNs).toBe(before);
      });

      test('keeps real changes beside stubs, with their times', async () => {
        const result = await steps.run('echo 1 > /etc/new; touch -d "2001-02-03 04:05:06" /etc', {
          op: { mounts: [{ type: 'tmpfs', target: '/etc/deep/er/mount' }] },
        });
        expect(listing(result.upper)).toEqual(['etc', 'etc/new']);
        expect(lstatSync(join(result.upper, 'etc')).mtime.toISOString()).toBe('2001-02-03T04:05:06.000Z');
      });

      test('writes whiteouts for what is removed', async () => {
        writeFileSync(join(layer, 'tmp/lower'), 'x');
        const result = await steps.run('rm /tmp/lower');
        const stat = lstatSync(join(result.upper, 'tmp/lower'));
        expect([stat.isCharacterDevice(), stat.rdev]).toEqual([true, 0]);
      });

      test('bind mounts are read-only, and writes to writable ones are thrown away', async () => {
        const source = join(folder.path, `source ${runtime}, x`);
        mkdirSync(join(source, 'sub'), { recursive: true });
        writeFileSync(join(source, 'sub/file'), 'content');
        const mount = { type: 'bind', input: 0, source: '/sub' } as const;
        const result = await steps.run(
          'cat /ro/file; touch /ro/x || echo ro; cat /rw/file; echo y > /rw/y; cat /rw/y; cat /one; cat /layered/etc/group | head -1; ls /empty',
          {
            op: {
              mounts: [
                { ...mount, target: '/ro', readonly: true },
                { ...mount, target: '/rw', readonly: false },
                { ...mount, target: '/one', source: 'sub/file', readonly: true },
                { ...mount, target: '/layered', source: '/', readonly: true },
                { ...mount, target: '/empty', source: '/', readonly: true },
              ],
            },
            binds: new Map<number, MountSource>([
              ...[0, 1, 2].map((index): [number, MountSource] => [
                index,
                { kind: 'directory', path: source },
              ]),
              [3, { kind: 'layers', directories: [layer] }],
            ]),
          },
        );
        expect(result.stdout).toBe('contentro\ncontenty\ncontentroot:x:0:\n');
        expect(listing(source)).toEqual(['sub', 'sub/file']);
        expect(listing(result.upper)).toEqual([]);
      });

      test('a link in a mount source stays inside its root (CVE-2024-1753)', async () => {
        const source = join(folder.path, `links-${runtime}`);
        mkdirSync(join(source, 'etc'), { recursive: true });
        writeFileSync(join(source, 'etc/shadow'), 'inside');
        symlinkSync('/etc', join(source, 'absolute'));
        symlinkSync('../../../../../../etc', join(source, 'relative'));
        const mount = { type: 'bind', input: 0, readonly: true } as const;
        const mounts = ['absolute', 'relative'].map((name) => ({
          ...mount,
          target: `/${name}`,
          source: name,
        }));
        const binds = new Map([0, 1].map((index) => [index, { kind: 'directory', path: source } as const]));
        const { stdout } = await steps.run('ls /absolute /relative; cat /absolute/shadow', {
          op: { mounts },
          binds,
        });
        expect(stdout).toBe('/absolute:\nshadow\n\n/relative:\nshadow\ninside');
        await expect(
          steps.run('true', { op: { mounts: [{ ...mount, target: '/x', source: 'none' }] }, binds }),
        ).rejects.toMatchObject({
          code: 'STEP_START',
          message: expect.stringContaining('/none cannot be mounted'),
        });
      });

      test('a link at a mount target stays inside the root filesystem', async () => {
        const linked = join(folder.path, `targets-${runtime}`);
        mkdirSync(linked);
        const outside = join(folder.path, `outside-${runtime}`);
        mkdirSync(outside);
        symlinkSync(outside, join(linked, 'out'));
        const result = await steps.run('mount | grep -c " on /.*/inner "', {
          layers: [layer, linked],
          op: { mounts: [{ type: 'tmpfs', target: '/out/inner' }] },
        });
        expect(result.stdout.trim()).toBe('1');
        expect([listing(outside), listing(result.upper)]).toEqual([[], []]);
      });

      test('cache mounts keep their content, are seeded once and have their owner', async () => {
        const mount = { ...cacheMount, id: 'seeded', mode: 0o750, uid: 1000, gid: 1001, source: 'etc' };
        const mounts = [mount];
        const binds = new Map([[0, { kind: 'layers', directories: [layer] } as const]]);
        const first = await steps.run('ls /cache; stat -c "%a %u %g" /cache; echo 1 > /cache/kept', {
          op: { mounts },
          binds,
        });
        expect(first.stdout).toBe('group\npasswd\n750 1000 1001\n');
        expect(listing(first.upper)).toEqual([]);
        const second = await steps.run('cat /cache/kept; rm /cache/group; touch /cache/x', {
          op: { mounts: [{ ...mount, readonly: false }] },
          binds,
        });
        expect(second.stdout).toBe('1\n');
        const third = await steps.run('ls /cache; touch /cache/y || echo ro', {
          op: { mounts: [{ ...mount, readonly: true }] },
          binds,
        });
        expect(third.stdout).toBe('kept\npasswd\nx\nro\n');
        const name = createHash('sha256').update('seeded').digest('hex');
        expect(existsSync(join(steps.root, 'cache-mounts', name, 'data/kept'))).toBe(true);
      });

      test('locked cache mounts are used one after the other, private ones side by side', async () => {
        const script =
          'echo start >> /cache/log; sleep 0.3; echo end >> /cache/log; cat /cache/log; ls /cache';
        const run = (sharing: 'locked' | 'private'): Promise<string> =>
          steps
            .run(script, { op: { mounts: [{ ...cacheMount, id: sharing, sharing }] } })
            .then((r) => r.stdout);
        const locked = await Promise.all([run('locked'), run('locked')]);
        expect(locked.toSorted((a, b) => a.length - b.length)[1]).toBe('start\nend\nstart\nend\nlog\n');
        expect(await Promise.all([run('private'), run('private')])).toEqual([
          'start\nend\nlog\n',
          'start\nend\nlog\n',
        ]);
      });

      test('tmpfs mounts have their size', async () => {
        const { stdout } = await steps.run('df -k /t | tail -1; stat -c %a /t', {
          op: { mounts: [{ type: 'tmpfs', target: '/t', size: 1024 * 1024 }] },
        });
        expect(stdout).toMatch(/^tmpfs\s+1024 [^\n]*\n1777\n$/);
      });

      test('secrets are on no disk, in no layer and in no file of the store', async () => {
        const secret = 'kept-from-the-disk';
        const found: string[] = [];
        const result = await steps.run(
          'cat /run/secrets/token; echo; echo $TOKEN; stat -c "%a %u" /run/secrets/token; ls /none; sleep 0.3',
          {
            op: {
              mounts: [
                {
                  type: 'secret',
                  id: 'token',
                  target: '/run/secrets/token',
                  env: 'TOKEN',
                  required: true,
                  ...owner,
                  uid: 1000,
                },
                { type: 'secret', id: 'none', target: '/none', required: false, ...owner },
              ],
            },
            secrets: { get: (id) => Promise.resolve(id === 'token' ? Buffer.from(secret) : undefined) },
            onOutput: (_stream, data) => {
              found.push(Buffer.from(data).toString());
              // While the step runs: what the host sees of the store.
              for (const path of listing(steps.root)) {
                const file = join(steps.root, path);
                if (path.includes('/l/') || !lstatSync(file).isFile()) continue;
                expect(readFileSync(file).includes(secret), path).toBe(false);
              }
            },
          },
        );
        expect(found.join('')).toContain(`${secret}\n${secret}\n400 1000\n`);
        expect(found.join('')).toContain('/none: No such file');
        expect(listing(result.upper)).toEqual([]);
      });

      test('a required secret or agent that was not given is an error', async () => {
        const secret = { type: 'secret', id: 'token', target: '/t', required: true, ...owner } as const;
        await expect(steps.run('true', { op: { mounts: [secret] } })).rejects.toMatchObject({
          code: 'SECRET_MISSING',
        });
        const ssh = { type: 'ssh', id: 'default', target: '/agent', required: true, ...owner } as const;
        await expect(steps.run('true', { op: { mounts: [ssh] } })).rejects.toMatchObject({
          code: 'SECRET_MISSING',
        });
      });

      test('an agent socket has the owner that was asked for', async () => {
        const path = join(folder.path, `agent-${runtime}`);
        const server = createServer((socket) => socket.on('data', (data) => socket.end(data)));
        await new Promise<void>((resolve) => {
          server.listen(path, resolve);
        });
        const mount = {
          type: 'ssh',
          id: 'default',
          target: '/run/buildkit/ssh_agent.0',
          required: true,
        } as const;
        const result = await steps.run('echo $SSH_AUTH_SOCK; stat -c "%a %u %F" $SSH_AUTH_SOCK', {
          op: {
            env: ['PATH=/bin', `SSH_AUTH_SOCK=${mount.target}`],
            mounts: [{ ...mount, mode: 0o600, uid: 1000, gid: 0 }],
          },
          sshSockets: { default: path },
        });
        server.close();
        expect(result.stdout).toContain('/run/buildkit/ssh_agent.0\n600 1000 socket\n');
        expect(listing(result.upper)).toEqual([]);
      });

      test('files of the step exist while it runs', async () => {
        const result = await steps.run(['/dev/pipes/script', 'a'], {
          op: { files: [{ path: '/dev/pipes/script', content: '#!/bin/sh\necho got $1\n', mode: 0o755 }] },
        });
        expect([result.stdout, listing(result.upper)]).toEqual(['got a\n', []]);
      });

      test('says in clear words that a command is not there', async () => {
        const said: string[] = [];
        const onOutput = (_stream: string, data: Uint8Array): void =>
          void said.push(Buffer.from(data).toString());
        await expect(steps.run(['no-such-command'], { onOutput })).rejects.toMatchObject({
          code: 'STEP_START',
          message: '`no-such-command` was not found in the image',
          details: { exitCode: 127 },
        });
        expect(said.join('')).not.toContain('libuv');
        await expect(steps.run(['/etc/passwd'])).rejects.toMatchObject({
          code: 'STEP_START',
          message: '`/etc/passwd` cannot be executed: permission denied',
        });
        expect(readdirSync(join(steps.root, 'snapshots')).length).toBeLessThan(100);
      });

      test.each(['/proc', '/dev', '/sys', '/etc'])(
        'refuses a root filesystem whose %s is a link (S-P-7)',
        async (path) => {
          const evil = join(folder.path, `evil-${runtime}-${path.slice(1)}`);
          mkdirSync(evil);
          symlinkSync('/tmp', join(evil, path));
          await expect(steps.run('true', { layers: [evil] })).rejects.toMatchObject({
            code: 'STEP_START',
            message: `${path} of the root filesystem is not a directory`,
          });
        },
      );

      test.each(['/proc/self/fd/7', '/proc', '/way/fd/8'])(
        'refuses the working directory %s (CVE-2024-21626)',
        async (cwd) => {
          const evil = join(folder.path, `cwd-${runtime}-${cwd.length}`);
          mkdirSync(evil);
          symlinkSync('/proc/self', join(evil, 'way'));
          await expect(steps.run('pwd', { op: { cwd }, layers: [layer, evil] })).rejects.toMatchObject({
            code: 'STEP_START',
            message: expect.stringContaining('below /proc'),
          });
        },
      );

      test('a step that swaps the parent of a stub for a link harms nobody (CVE-2024-23652)', async () => {
        const victim = join(folder.path, `victim-${runtime}`);
        mkdirSync(join(victim, 'stub'), { recursive: true });
        const result = await steps.run(`mkdir /moved; mv /a /moved/a; ln -s ${victim} /a`, {
          op: { mounts: [{ type: 'tmpfs', target: '/a/stub' }] },
        });
        expect(result.exitCode).toBe(0);
        expect(listing(victim)).toEqual(['stub']);
        expect(lstatSync(join(result.upper, 'a')).isSymbolicLink()).toBe(true);
      });

      test('ulimits and the size of /dev/shm are as asked', async () => {
        const { stdout } = await steps.run('ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1', {
          ulimits: [{ name: 'nofile', soft: 100, hard: 200 }],
          shmSize: 1024 * 1024,
        });
        expect(stdout).toMatch(/^100\n200\nshm\s+1024 /);
      });

      test('works with 120 layers', async () => {
        const many = Array.from({ length: 120 }, (_, index) => {
          const path = join(folder.path, `many-${runtime}`, String(index));
          mkdirSync(path, { recursive: true });
          writeFileSync(join(path, `file${index}`), '');
          writeFileSync(join(path, 'last'), String(index));
          return path;
        });
        const { stdout } = await steps.run('ls /file* | wc -l; cat /last', { layers: [layer, ...many] });
        expect(stdout).toBe('120\n119');
      });

      test('`insecure` has all capabilities, no filter and no masks', async () => {
        const { stdout } = await steps.run(
          'grep -E "CapEff|CapAmb|Seccomp:" /proc/self/status; mount -t tmpfs x /tmp && echo mounted',
          { op: { security: 'insecure' } },
        );
        const bounding = /CapBnd:\s*([0-9a-f]+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
        expect(stdout.match(/[0-9a-f]{16}/g)).toEqual([bounding, bounding]);
        expect(stdout).toMatch(/Seccomp:\s*0\nmounted\n$/);
      });

      test('a throw-away container sees volumes and writes to them', async () => {
        const volume = join(folder.path, `volume-${runtime}`);
        mkdirSync(volume);
        chmodSync(volume, 0o777);
        let output = '';
        const { exitCode } = await steps.executor.runContainer({
          ...{ layers: [layer], env: ['PATH=/bin'], cwd: '/', user: 'worker', network: 'none', tty: false },
          args: ['sh', '-c', 'echo hi; id -u; touch /v/x; exit 3'],
          platform: hostPlatform(),
          volumes: [{ source: volume, target: '/v', readonly: false }],
          interactive: false,
          onOutput: (_stream, data) => {
            output += Buffer.from(data).toString();
          },
          signal: new AbortController().signal,
        });
        expect([exitCode, output]).toEqual([3, 'hi\n1000\n']);
        expect(existsSync(join(volume, 'x'))).toBe(true);
      });

      test('what is mounted below a read-only volume is read-only too', async () => {
        // /dev has such mounts everywhere; /dev/shm may be written to by anybody.
        let output = '';
        const { exitCode } = await steps.executor.runContainer({
          ...{ layers: [layer], env: ['PATH=/bin'], cwd: '/', user: '', network: 'none', tty: false },
          args: [
            ...['sh', '-c'],
            `touch /v/tsbuild-test /v/shm/tsbuild-test; cut -d ' ' -f 5,6 /proc/self/mountinfo | grep '^/v[ /]'`,
          ],
          platform: hostPlatform(),
          volumes: [{ source: '/dev', target: '/v', readonly: true }],
          interactive: false,
          onOutput: (_stream, data) => {
            output += Buffer.from(data).toString();
          },
          signal: new AbortController().signal,
        });
        expect(exitCode).toBe(0);
        expect(output.match(/Read-only file system/g)).toHaveLength(2);
        const mounts = output.split('\n').filter((line) => line.startsWith('/v'));
        expect(mounts.map((line) => line.split(' ')[0])).toContain('/v/shm');
        for (const line of mounts) expect(line).toMatch(/ ro(,|$)/);
        // Nothing else keeps it from the devices there.
        if (runtime === 'embedded') for (const line of mounts) expect(line).toMatch(/[ ,]nodev/);
      });

      test('leaves nothing of finished steps in the store', async () => {
        const held = (): string[] => readdirSync(join(steps.root, 'snapshots')).toSorted();
        const before = held();
        const result = await steps.run('true');
        expect(held()).toHaveLength(before.length + 1);
        await result.discard();
        expect(held()).toEqual(before);
        // Their owner is alive: they are in use until it says otherwise.
        await steps.executor.cleanStale();
        expect(held()).toEqual(before);
      });
    });

    test('a program that ends well and runs nothing is no runtime; one by its path is', async () => {
      for (const program of ['/bin/true', '/bin/echo', '/bin/false']) {
        const steps = bench(join(folder.path, 'none'), { runtime: program, layer });
        await expect(steps.run('true'), program).rejects.toMatchObject({
          code: 'SANDBOX_UNAVAILABLE',
          message: expect.stringContaining(`${program}: it ended with`),
        });
      }
      const steps = bench(join(folder.path, 'path'), { runtime: requireTool('runc'), layer });
      expect((await steps.run('echo ran')).stdout).toBe('ran\n');
    });

    test('waits for a cache mount that another process holds, until it is cancelled', async () => {
      const steps = bench(join(folder.path, 'held'), { runtime: 'runc', layer });
      const mounts = [{ ...cacheMount, sharing: 'locked' as const }];
      await steps.run('true', { op: { mounts } });
      const directory = join(steps.root, 'cache-mounts', createHash('sha256').update('c').digest('hex'));
      const { openSync, closeSync } = await import('node:fs');
      const lock = openSync(join(directory, 'lock'), 'r');
      expect(flock(lock, LOCK_EX)).toBe(true);
      const controller = new AbortController();
      const waiting = steps.run('true', { op: { mounts }, signal: controller.signal });
      setTimeout(() => controller.abort(new Error('enough')), 200);
      await expect(waiting).rejects.toThrow('enough');
      closeSync(lock);
      expect((await steps.run('true', { op: { mounts } })).exitCode).toBe(0);
    });
  },
);
