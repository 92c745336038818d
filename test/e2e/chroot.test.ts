import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import type { CommandResult } from '../support/cli.ts';
import type { DockerContainer } from '../support/docker-container.ts';
import { dockerContainer } from '../support/docker-container.ts';
import { ownersDockerfile } from '../support/owners-dockerfile.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { flatten, readLayout, treeLines } from '../support/tree.ts';

const needs = ['root', tool('runc'), tool('busybox', 'busybox-static')] as const;

suite('inside a container that allows no sandbox', needs, () => {
  let work: TempFolder;
  let container: DockerContainer;
  let store: string;

  beforeAll(async () => {
    work = await tempFolder('chroot');
    container = dockerContainer(work.path);
    store = join(work.path, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
  });
  afterAll(() => work[Symbol.asyncDispose]());

  function context(name: string, dockerfile: string): string {
    const folder = join(work.path, name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'Dockerfile'), dockerfile);
    return folder;
  }
  const chroot = (
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<CommandResult> =>
    container.tsbuild(['--root', store, '--isolation=chroot', '--progress', 'plain', ...args], { env });

  test('nothing weaker is chosen by itself: the error and the doctor name the flag and what would give more', async () => {
    const folder = context('plain', 'FROM localhost/busybox\nRUN true\n');
    const { code, stderr } = await container.tsbuild(['--root', store, folder]);
    expect(code).toBe(1);
    expect(stderr).toContain('error[SANDBOX_UNAVAILABLE]: a step needs a user namespace');
    expect(stderr).toContain('--isolation=chroot');
    const doctor = await container.tsbuild(['doctor', '--root', store]);
    expect(doctor.code).toBe(1);
    expect(doctor.stdout).toMatch(/rung +this container allows no sandbox; .*--isolation=chroot/);
    expect(doctor.stdout).toContain('--security-opt seccomp=unconfined');
  });

  test('with the flag a build gives the image that root gets elsewhere, and says what it lacks', async () => {
    // Overlayfs cuts hard links of lower layers when one name is written to; here files have their names for good.
    const folder = context(
      'owners',
      ownersDockerfile.replace(' && ln /data/file /data/same', '').replace('rm /data/same && ', ''),
    );
    await must(command('cp', [busyboxRootfs(), join(folder, 'rootfs.tar')]));
    writeFileSync(join(folder, 'hello'), 'hello\n');
    const env = { SOURCE_DATE_EPOCH: '1000000000', WORD: 'hush-hush-12' };
    const built = async (name: string, run: (args: readonly string[]) => Promise<CommandResult>) => {
      const out = join(work.path, `out-${name}`);
      const args = ['--root', join(work.path, `store-${name}`), '--secret', 'id=word,env=WORD'];
      const result = await run([...args, '-o', `type=oci,tar=false,dest=${out}`, folder]);
      expect(result.code, result.stderr).toBe(0);
      const image = await readLayout(out);
      return { stderr: result.stderr, image: [image.digest, ...treeLines(flatten(image.layers))] };
    };
    const expected = await built('root', (args) => tsbuild(args, { env }));
    const got = await built('chroot', (args) => container.tsbuild(['--isolation=chroot', ...args], { env }));
    expect(got.image).toEqual(expected.image);
    expect(got.stderr).toContain('ChrootIsolation: steps run without a sandbox');
    expect(readdirSync(join(work.path, 'store-chroot/snapshots'))).toEqual([]);
  });

  describe('a step', () => {
    test('has no way back out by chroot(2), no descriptor of the build, and the rights of a container', async () => {
      const folder = context(
        'rights',
        `FROM localhost/busybox
RUN grep . /proc/self/status; ls /proc/self 2>&1; ls -l /dev; id; umask; (chroot / true) 2>&1; ls -d /work* /usr/lib/x86* 2>&1; true
RUN for fd in 3 4 5 6 7 8 9 10 20; do if (: <&$fd) 2>/dev/null; then echo leaked $fd; exit 1; fi; done
`,
      );
      const { code, stderr } = await chroot(['--no-cache', folder]);
      expect(code, stderr).toBe(0);
      expect(stderr).toContain("chroot: can't change root directory");
      expect(stderr).toMatch(/crw-rw-rw- .* 1, +3 .* null/);
      expect(stderr).not.toMatch(/leaked \d/);
    });

    test('keeps caches, sees binds and secrets, and leaves nothing of them in the image', async () => {
      const folder = context(
        'mounts',
        `FROM localhost/busybox
RUN --mount=type=cache,target=/var/cache/x echo one >>/var/cache/x/log
RUN --mount=type=cache,target=/var/cache/x --mount=type=bind,source=Dockerfile,target=/etc/passwd,rw \\
    --mount=type=secret,id=word,target=/run/deep/secret --mount=type=tmpfs,target=/tmp \\
    cat /var/cache/x/log /run/deep/secret && echo x >/etc/passwd && touch /tmp/y && test -s /etc/resolv.conf && grep localhost /etc/hosts
RUN grep root /etc/passwd && test ! -e /run/deep && test ! -e /tmp/y && test -d /proc && test ! -e /proc/cpuinfo.x
`,
      );
      const env = { WORD: 'hush-hush-13' };
      const out = join(work.path, 'out-mounts');
      const secret = ['--secret', 'id=word,env=WORD'];
      const first = await chroot([...secret, '-o', `type=oci,tar=false,dest=${out}`, folder], env);
      expect(first.code, first.stderr).toBe(0);
      expect(first.stderr).toMatch(/ one$/m);
      expect(first.stderr).toContain('****');
      expect(first.stderr).not.toContain('hush-hush');
      const paths = treeLines(flatten((await readLayout(out)).layers)).map((line) => line.split(' ')[0]);
      for (const path of [
        '/run/deep',
        '/tmp/y',
        '/var/cache',
        '/etc/resolv.conf',
        '/etc/hosts',
        '/dev/null',
        '/proc/cpuinfo',
      ])
        expect(paths).not.toContain(path);
      const second = await chroot(['--no-cache', ...secret, folder], env);
      expect(second.stderr.match(/ one$/gm)).toHaveLength(2);
    });

    test('that leaves a process behind, or is stopped, leaves none', async () => {
      const folder = context(
        'daemons',
        'FROM localhost/busybox\nRUN (setsid sh -c "echo up; exec sleep 4711" &) ; (trap "" TERM HUP; sleep 4712) & sleep 0.2\nRUN sleep 4713\n',
      );
      const script = `
        "$@" & build=$!
        for i in $(seq 200); do pgrep -f "[s]leep 4713" >/dev/null && break; sleep 0.1; done
        pgrep -fl "[s]leep 471[12]" && echo ALIVE
        kill -$SIGNAL $build; wait $build
        for i in $(seq 50); do pgrep -f "[s]leep 471" >/dev/null || break; sleep 0.1; done
        pgrep -fl "[s]leep 471" && echo LEFT; true`;
      for (const signal of ['INT', 'KILL']) {
        const args = ['-c', script, 'sh', process.execPath, join(process.cwd(), 'bin/tsbuild.js')];
        const build = ['--root', store, '--isolation=chroot', '--no-cache', '--progress', 'plain', folder];
        const { stdout, stderr } = await container.run('sh', [...args, ...build], {
          env: { SIGNAL: signal },
        });
        expect(stderr).toContain('RUN sleep 4713');
        expect(stdout).not.toMatch(/ALIVE|LEFT/);
      }
      await must(chroot([context('after', 'FROM localhost/busybox\nRUN true\n')]));
      expect(readdirSync(join(store, 'snapshots'))).toEqual([]);
    });

    test('has the network of its container: what asks for less is refused', async () => {
      for (const [lines, flags] of [
        ['RUN --network=none true', []],
        ['RUN true', ['--network=isolated']],
      ] as const) {
        const folder = context('network', `FROM localhost/busybox\n${lines}\n`);
        const { code, stderr } = await chroot(['--no-cache', ...flags, folder]);
        expect(code).toBe(1);
        expect(stderr).toContain('error[NETWORK_UNAVAILABLE]: with --isolation=chroot');
      }
    });

    test('of a killed build leaves no secret behind, wherever the step had it', async () => {
      const folder = context(
        'kept',
        `FROM localhost/busybox
RUN --mount=type=secret,id=word --mount=type=secret,id=word,target=/other \\
    ln /run/secrets/word /linked && mv /other /moved && test "$(cat /linked)" = "$(cat /moved)" && sleep 4716
`,
      );
      const script = `"$@" & build=$!
        for i in $(seq 200); do pgrep -f "[s]leep 4716" >/dev/null && break; sleep 0.1; done
        found() { grep -rls "$WORD" ${store}/snapshots; }
        found | sed 's#.*/rootfs/#BEFORE #'
        kill -KILL $build $(pgrep -P $build)
        for i in $(seq 50); do found >/dev/null || break; sleep 0.1; done
        found | sed 's#.*/rootfs/#AFTER #'
        ls ${store}/snapshots | sed 's/^/LEFT /'`;
      const args = [
        '--root',
        store,
        '--isolation=chroot',
        '--no-cache',
        '--secret',
        'id=word,env=WORD',
        folder,
      ];
      const { stdout } = await container.run(
        'sh',
        ['-c', script, 'sh', process.execPath, join(process.cwd(), 'bin/tsbuild.js'), ...args],
        { env: { WORD: 'hush-hush-15' } },
      );
      const lines = stdout.trim().split('\n').toSorted();
      expect(lines).toEqual([
        'BEFORE linked',
        'BEFORE moved',
        'BEFORE run/secrets/word',
        expect.stringMatching(/^LEFT [0-9a-f]{16}$/),
      ]);
    });

    test('of a killed build: the next one brings its caches back', async () => {
      const cached = 'FROM localhost/busybox\nRUN --mount=type=cache,id=precious,target=/c ';
      await must(chroot([context('fill', `${cached} echo gold >/c/gold\n`)]));
      const folder = context('killed', `${cached} sleep 4714\n`);
      const script = `"$@" & build=$!
        for i in $(seq 200); do pgrep -f "[s]leep 4714" >/dev/null && break; sleep 0.1; done
        kill -KILL -1`;
      const args = [
        process.execPath,
        join(process.cwd(), 'bin/tsbuild.js'),
        '--root',
        store,
        '--isolation=chroot',
      ];
      await container.run('sh', ['-c', script, 'sh', ...args, folder]);
      expect(readdirSync(join(store, 'snapshots'))).toHaveLength(1);
      await must(chroot(['--no-cache', context('look', `${cached} grep gold /c/gold\n`)]));
      expect(readdirSync(join(store, 'snapshots'))).toEqual([]);
    });
  });

  describe('a hostile image', () => {
    const outside = '/../../../../../../tsbuild-escape';
    test.each([
      ['a link in the place of /etc', 'RUN rm -rf /etc && ln -s /dev /etc\nRUN true', 'STEP_START'],
      ['a link in the place of /proc', 'RUN rm -rf /proc.x; ln -s /etc /proc.x\nRUN true', undefined],
      ['/etc/resolv.conf leads out', `RUN ln -sf ${outside} /etc/resolv.conf\nRUN true`, undefined],
      [
        '/etc/hosts leads to /etc/passwd',
        'RUN ln -sf /etc/passwd /etc/hosts\nRUN grep root:x /etc/passwd',
        undefined,
      ],
      [
        'the target of a cache leads out',
        `RUN ln -s ${outside} /cache\nRUN --mount=type=cache,target=/cache touch /cache/x`,
        undefined,
      ],
      [
        'a secret goes through a link out',
        `RUN ln -s ${outside} /run/secrets\nRUN --mount=type=secret,id=word,required=false true`,
        undefined,
      ],
      [
        'the step puts a link in the place of a directory above a mount',
        `RUN --mount=type=tmpfs,target=/a/b/c rm -rf /a/b && ln -s ${outside} /a/b`,
        undefined,
      ],
      ['WORKDIR leads below /proc', 'RUN ln -s /proc/self/fd/3 /w\nWORKDIR /w\nRUN true', 'STEP_START'],
    ])('%s', async (name, lines, error) => {
      const folder = context('hostile', `FROM localhost/busybox\n${lines}\n`);
      const { code, stderr } = await chroot(['--no-cache', '--secret', 'id=word,env=WORD', folder], {
        WORD: 'hush-hush-14',
      });
      if (error === undefined) expect(code, `${name}\n${stderr}`).toBe(0);
      else expect(stderr).toContain(`error[${error}]`);
      expect(existsSync('/tsbuild-escape')).toBe(false);
      expect(existsSync(join(work.path, 'tsbuild-escape'))).toBe(false);
      expect(readFileSync('/etc/passwd', 'utf8')).toContain('root:x:0:0');
    });
  });

  test('a container with fewer rights: which are missing', async () => {
    const less = dockerContainer(work.path, { leaveOut: ['CAP_MKNOD', 'CAP_SYS_CHROOT'] });
    const folder = context('less', 'FROM localhost/busybox\nRUN true\n');
    const { code, stderr } = await less.tsbuild([
      '--root',
      store,
      '--isolation=chroot',
      '--no-cache',
      folder,
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain('does not work here: it needs CAP_MKNOD, CAP_SYS_CHROOT');
  });

  test('`tsbuild run` and a shell at a line work there too', async () => {
    const run = await container.tsbuild([
      'run',
      '--root',
      store,
      '--isolation=chroot',
      'localhost/busybox',
      'sh',
      '-c',
      'exit 7',
    ]);
    expect(run.code).toBe(7);
    const folder = context('shell', 'FROM localhost/busybox\nRUN echo here >/x\n');
    const shell = [
      'shell',
      '--root',
      store,
      '--isolation=chroot',
      '-c',
      'cat /x',
      join(folder, 'Dockerfile:2'),
      folder,
    ];
    expect((await container.tsbuild(shell)).stdout).toBe('here\n');
  });
});
