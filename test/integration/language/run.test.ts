import { readdirSync, readFileSync, readlinkSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { command } from '../../support/cli.ts';
import { projectRoot } from '../../support/paths.ts';
import { makeMemoryCgroup, suite, tool } from '../../support/require.ts';
import { runtimes } from '../executor-steps.ts';
import type { Steps } from './steps.ts';
import { openSteps } from './steps.ts';

const host = { network: 'host', allow: ['network.host'] } as const;
const insecure = { allow: ['security.insecure'] } as const;

suite('steps', ['root', tool('runc'), tool('busybox', 'busybox-static')], () => {
  describe.each(runtimes)('on %s', (runtime) => {
    let steps: Steps;
    beforeAll(async () => {
      steps = await openSteps(`run-${runtime}`, runtime);
      writeFileSync(join(steps.context, 'file'), 'of the context\n');
    });
    afterAll(() => steps[Symbol.asyncDispose]());

    test('L-RUN-1: shell form is run by SHELL, exec form by nobody', async () => {
      const text = [
        'ENV A=1',
        'RUN echo shell $A $0 && \\\n  echo "$A" | tr 1 2',
        'RUN ["echo", "exec $A", "a  b"]',
        'RUN ["sh", "-c", "echo $A $0 $1", "zero", "one"]',
        'SHELL ["/bin/sh", "-xec"]',
        'RUN false || echo chosen',
        'RUN ["echo", "still exec"]',
      ];
      expect(await steps.says(text.join('\n'))).toEqual([
        ...['shell 1 /bin/sh', '2', 'exec $A a  b', '1 zero one', 'chosen', 'still exec'],
      ]);
    });

    test('L-RUN-3: many mounts and flags in one step', async () => {
      const flags =
        '--mount=target=/ctx --mount=type=tmpfs,target=/t --mount=type=cache,target=/c --network=none';
      const words = `cat /ctx/file; for d in /t /c; do touch $d/x && echo $d/*; done; ls /sys/class/net`;
      expect(await steps.says(`RUN ${flags} ${words}`)).toEqual(['of the context', '/t/x', '/c/x', 'lo']);
    });

    test('L-RUN-4: `none` has a loopback alone, which works; it is that of the build where a step names none', async () => {
      const look = 'ls /sys/class/net; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo works';
      for (const text of [`RUN --network=none ${look}`, `RUN ${look}`])
        expect(await steps.says(text, { network: 'none' })).toEqual(['lo', 'works']);
      const [step] = await steps.says('RUN --network=none readlink /proc/self/ns/net');
      expect(step).not.toBe(readlinkSync('/proc/self/ns/net'));
    });

    test('L-RUN-4: `host` is the network of the host', async () => {
      const look = 'ls /sys/class/net; readlink /proc/self/ns/net';
      const expected = [...readdirSync('/sys/class/net').toSorted(), readlinkSync('/proc/self/ns/net')];
      for (const [text, options] of [
        [`RUN --network=host ${look}`, { allow: ['network.host'] }],
        [`RUN ${look}`, host],
      ] as const)
        expect(await steps.says(text, options)).toEqual(expected);
    });

    test('L-RUN-4: `host` needs a right, whether the step is known or not', async () => {
      const text = 'RUN echo before\nRUN --network=host echo granted';
      const refused = {
        code: 'ENTITLEMENT_REQUIRED',
        message: 'the step asks for network.host, which was not allowed',
      };
      const error = await steps.error(text, { noCache: false });
      expect(error).toMatchObject(refused);
      expect(error.source?.range.start).toEqual({ line: 3, column: 1 });
      expect(error.hint).toBe('if you trust this Dockerfile, build with --allow network.host');
      await steps.build(text, { noCache: false, allow: ['network.host'] });
      expect(await steps.error(text, { noCache: false })).toMatchObject(refused);
      const both = await steps.error('RUN --network=host --security=insecure true');
      expect(both.message).toBe(
        'the step asks for security.insecure and network.host, which was not allowed',
      );
      expect(both.hint).toContain('--allow security.insecure --allow network.host');
      // No step runs before that is clear.
      const seen: string[] = [];
      await steps.error(text, { onEvent: (event) => void (event.type === 'log' && seen.push(event.id)) });
      expect(seen).toEqual([]);
    });

    test('L-RUN-5: an insecure step needs a right, and has what the host has to give', async () => {
      expect(await steps.error('RUN --security=insecure true')).toMatchObject({
        code: 'ENTITLEMENT_REQUIRED',
      });
      const bounding = /CapBnd:\s*([0-9a-f]+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
      const rights = (words: string): Promise<readonly string[]> =>
        steps.says(`RUN --security=insecure ${words}`, insecure);
      expect(await rights('grep -E "^(Cap|Seccomp:)" /proc/self/status | tr -s "\\t" " "')).toEqual([
        ...['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'].map((name) => `Cap${name}: ${bounding}`),
        'Seccomp: 0',
      ]);
      // No masks, nothing read-only: those of a sandboxed step are mounts of their own.
      expect(await rights('grep -c " /proc/" /proc/mounts || true')).toEqual(['0']);
      const mounted = await rights('grep -E " /sys(/fs/cgroup)? " /proc/mounts | cut -d" " -f2,4');
      expect(mounted.length).toBeGreaterThan(0);
      for (const line of mounted) expect(line).toMatch(/^\S+ rw,/);
      expect(await rights('mount -t tmpfs none /tmp && mkdir /tmp/x && echo mounted')).toEqual(['mounted']);
      const sandboxed = await steps.says(
        'RUN grep -c " /proc/" /proc/mounts; grep " /sys " /proc/mounts | cut -d" " -f4',
      );
      expect(Number(sandboxed[0])).toBeGreaterThan(5);
      expect(sandboxed[1]).toMatch(/^ro,/);
    });

    test('L-RUN-5: an insecure step has the devices of the row that the host has', async () => {
      const names = ['kmsg', 'cuse', 'fuse', 'kvm', 'net/tun', 'loop-control', 'loop0', 'loop7'];
      const number = (name: string): string | undefined => {
        const stat = statSync(`/dev/${name}`, { throwIfNoEntry: false });
        if (stat === undefined) return undefined;
        const [major, minor] = [stat.rdev >> 8, stat.rdev & 0xff];
        return `${name} ${stat.isBlockDevice() ? 'block' : 'character'} ${major.toString(16)}:${minor.toString(16)}`;
      };
      const look = `cd /dev; for d in ${names.join(' ')}; do test -e $d && echo $d $(stat -c "%F %t:%T" $d | sed "s/ special file//"); done; true`;
      expect(await steps.says(`RUN --security=insecure ${look}`, insecure)).toEqual(
        names.flatMap((name) => number(name) ?? []),
      );
      expect(await steps.says(`RUN ${look}`)).toEqual([]);
    });

    test('L-RUN-7: the environment of a step', async () => {
      const proxies = ['http', 'https', 'ftp', 'no', 'all'].flatMap((name) => [
        `${name}_proxy`,
        `${name.toUpperCase()}_PROXY`,
      ]);
      const text = ['ENV A=1 B=x', 'ARG B=2', 'ARG C', 'RUN --mount=type=secret,id=s,env=S env | sort'];
      const said = await steps.says(text.join('\n'), {
        buildArgs: { ...Object.fromEntries(proxies.map((name) => [name, `of ${name}`])), C: '3' },
        secrets: [{ id: 's', value: 'told' }],
      });
      expect(said).toEqual(
        [
          ...['A=1', 'B=2', 'C=3', 'HOME=/root', 'PWD=/', 'S=****', 'SHLVL=1'],
          'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
          ...proxies.map((name) => `${name}=of ${name}`),
        ].toSorted(),
      );
      expect(await steps.says('FROM base\nENV PATH=/bin\nRUN echo $PATH')).toEqual(['/bin']);
    });

    test('L-RUN-7: hosts and resolv.conf are read-only, with the hosts of the build; /run is a plain directory', async () => {
      const text = [
        'RUN cat /etc/hosts; hostname; for f in hosts resolv.conf; do echo x 2>/dev/null >>/etc/$f || echo $f ro; done',
        'RUN grep -cE "^nameserver (127|::1)" /etc/resolv.conf; grep -c ^nameserver /etc/resolv.conf >/dev/null && echo some',
        'RUN echo kept >/run/kept && grep -c " /run" /proc/mounts',
        'RUN cat /run/kept',
      ];
      const addHosts = ['db:10.0.0.9', 'six=[fe80::1]'];
      const said = await steps.says(text.map((line) => `${line}; true`).join('\n'), { addHosts });
      expect(said).toEqual([
        ...['127.0.0.1\tlocalhost buildkitsandbox', '::1\tlocalhost ip6-localhost ip6-loopback'],
        ...['10.0.0.9\tdb', 'fe80::1\tsix', 'buildkitsandbox', 'hosts ro', 'resolv.conf ro'],
        ...['0', 'some', '0', 'kept'],
      ]);
      const named = { buildArgs: { BUILDKIT_SANDBOX_HOSTNAME: 'box' } };
      expect(await steps.says('RUN hostname; head -1 /etc/hosts', named)).toEqual([
        'box',
        '127.0.0.1\tlocalhost box',
      ]);
      const onHost = await steps.says('RUN --network=host cat /etc/resolv.conf', host);
      expect(`${onHost.join('\n')}\n`).toBe(readFileSync('/etc/resolv.conf', 'utf8'));
    });

    test('L-RUN-8: mount points leave no trace, and the directories around them keep their times', async () => {
      const mounts = [
        ...[
          'type=tmpfs,target=/a/b/c/d',
          'type=cache,target=/home/app/x/y',
          'target=/new',
          'type=bind,source=file,target=/etc/deep/file',
        ],
        'type=secret,id=s,target=/var/one/secret',
      ];
      const flags = mounts.map((mount) => `--mount=${mount}`).join(' ');
      const options = { secrets: [{ id: 's', value: 'x' }] };
      const look = 'stat -c "%n %Y" / /etc /home/app /var';
      const text = `RUN ${look}\nRUN ${flags} test -d /a/b/c/d -a -f /etc/deep/file -a -f /var/one/secret && touch /made\nRUN ${look}; ls -d /a /new /etc/deep /home/app/x /var/one 2>/dev/null | wc -l`;
      const said = await steps.says(text, options);
      expect(said.slice(5, 8)).toEqual(said.slice(1, 4));
      expect(said[8]).toBe('0');
      const layers = await steps.layers(text, options);
      expect(layers.map((entries) => entries.map(({ path }) => path))).toEqual([[], ['made'], []]);
    });

    test('L-RUN-8: what a step itself does beside mount points is kept, with the times that it set', async () => {
      const text = [
        'RUN --mount=type=tmpfs,target=/etc/x/y echo 1 >/etc/mine && touch -d "2001-02-03 04:05:06" /etc',
        // Its own file where a stub was, and a directory of which the stub is only a part.
        'RUN --mount=type=tmpfs,target=/opt/a/b touch /opt/kept',
        'RUN --mount=type=tmpfs,target=/srv/a rm -rf /home',
      ];
      const layers = await steps.layers(text.join('\n'));
      expect(layers.map((entries) => entries.map(({ path, type }) => `${type} ${path}`))).toEqual([
        ['directory etc', 'file etc/mine'],
        ['directory opt', 'file opt/kept'],
        ['file .wh.home'],
      ]);
      expect(layers[0]?.[0]?.mtime).toBe(String(Date.UTC(2001, 1, 3, 4, 5, 6) / 1000));
    });

    test('L-RUN-9: a WORKDIR that is gone is made 0755 for the user of the step', async () => {
      const text = [
        'WORKDIR /w/in',
        'RUN cd / && rm -r /w',
        'USER app',
        'RUN pwd; stat -c "%n %a %u:%g" /w /w/in && touch here',
        'RUN ls',
      ];
      expect(await steps.says(text.join('\n'))).toEqual([
        ...['/w/in', '/w 755 1000:1000', '/w/in 755 1000:1000', 'here'],
      ]);
    });

    test('L-RUN-9: rlimits are those of the builder, but for --ulimit', async () => {
      const own = readFileSync('/proc/self/limits', 'utf8').trim().split('\n');
      const said = await steps.says('RUN cat /proc/self/limits');
      expect(said.map((line) => line.trimEnd())).toEqual(own.map((line) => line.trimEnd()));
      const ulimits = [
        { name: 'nofile', soft: 100, hard: 200 },
        { name: 'core', soft: 0, hard: 0 },
      ];
      expect(await steps.says('RUN ulimit -n; ulimit -Hn; ulimit -c', { ulimits })).toEqual([
        '100',
        '200',
        '0',
      ]);
    });

    test('L-RUN-9: no_new_privs is not set: setuid programs work', async () => {
      const text = [
        // su of busybox asks for no password where there is none.
        'RUN mkdir /suid && cp /bin/busybox /suid/su && chmod 4755 /suid/su && sed -i "s/^root:x:/root::/" /etc/passwd',
        'USER app',
        "RUN grep NoNewPrivs /proc/self/status | tr -s '\\t' ' '; id -u; /suid/su root -c 'id -u'",
      ];
      expect(await steps.says(text.join('\n'))).toEqual(['NoNewPrivs: 0', '1000', '0']);
    });

    test('L-RUN-10: a step that fails says process and status, and has the status as a field', async () => {
      const error = await steps.error('RUN true\nRUN echo "a b" >&2; exit 7');
      expect(error).toMatchObject({
        code: 'STEP_FAILED',
        message: String.raw`process "/bin/sh -c echo \"a b\" >&2; exit 7" did not complete successfully: exit code: 7`,
        details: { exitCode: 7, oomKilled: false, command: ['/bin/sh', '-c', 'echo "a b" >&2; exit 7'] },
      });
      expect(error.source?.range.start).toEqual({ line: 3, column: 1 });
      expect((await steps.error('RUN ["false"]')).message).toBe(
        'process "false" did not complete successfully: exit code: 1',
      );
      const missing = await steps.error('RUN no-such-command');
      expect(missing.details['exitCode']).toBe(127);
      expect(missing.hint).toBe('a command was not found in the image');
      const denied = await steps.error('RUN /etc/passwd');
      expect([denied.details['exitCode'], denied.hint]).toEqual([
        126,
        'a command was found but could not be executed',
      ]);
      const killed = await steps.error("RUN sh -c 'kill -9 $$'; exit $?");
      expect([killed.details['exitCode'], killed.details['oomKilled']]).toEqual([137, false]);
      const long = await steps.error(`RUN false ${'x'.repeat(5000)}`);
      expect(long.message).toMatch(
        /^process "\/bin\/sh -c false x{100,}…" did not complete successfully: exit code: 1$/,
      );
    });

    test('L-RUN-10: the layer of a step that failed is no result', async () => {
      const text = 'RUN touch /left && exit 3';
      await steps.error(text, { noCache: false });
      expect(await steps.error(text, { noCache: false })).toMatchObject({ code: 'STEP_FAILED' });
    });
  });
});

suite('a step without memory', ['root', 'memory-cgroup', tool('busybox', 'busybox-static')], () => {
  test('L-RUN-10: what the kernel killed for want of memory is told as that', async () => {
    const cgroup = makeMemoryCgroup(200 * 1024 * 1024);
    try {
      // A process of its own: the limit is for all that is in the cgroup.
      const program = `
        import { writeFileSync } from 'node:fs';
        import { openSteps } from '${join(projectRoot, 'test/integration/language/steps.ts')}';
        writeFileSync(${JSON.stringify(join(cgroup, 'cgroup.procs'))}, String(process.pid));
        await using steps = await openSteps('oom', 'embedded');
        const error = await steps.error(\`RUN awk 'BEGIN{s="x"; while(1) s=s s}'\`);
        const { message, hint, details } = error;
        console.log(JSON.stringify({ message, hint, killed: details.oomKilled, status: details.exitCode }));
      `;
      const { stdout, stderr } = await command(
        process.execPath,
        ['--input-type=module-typescript', '--no-warnings', '-e', program],
        { cwd: projectRoot },
      );
      expect(JSON.parse(stdout || stderr)).toEqual({
        message: String.raw`process "/bin/sh -c awk 'BEGIN{s=\"x\"; while(1) s=s s}'" did not complete successfully: cannot allocate memory`,
        hint: 'the kernel killed it for want of memory: that of this machine or container was used up',
        killed: true,
        status: 137,
      });
    } finally {
      rmdirSync(cgroup);
    }
  });
});
