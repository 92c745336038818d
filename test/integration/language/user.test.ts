import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../../support/base-images.ts';
import type { CommandResult } from '../../support/cli.ts';
import { must, tsbuild } from '../../support/cli.ts';
import { suite, tool } from '../../support/require.ts';
import type { TempFolder } from '../../support/temp.ts';
import { tempFolder } from '../../support/temp.ts';

// The base has root, app (1000, group app 1000; listed in extra 2000) and nobody (65534).
suite('users of steps', ['root', tool('busybox', 'busybox-static')], () => {
  let work: TempFolder;
  let store: string;
  beforeAll(async () => {
    work = await tempFolder('user');
    store = join(work.path, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
  });
  afterAll(() => work[Symbol.asyncDispose]());

  function run(text: string, ...more: readonly string[]): Promise<CommandResult> {
    const context = join(work.path, 'context');
    mkdirSync(context, { recursive: true });
    writeFileSync(join(context, 'Dockerfile'), `FROM localhost/busybox AS base\n${text}\n`);
    return tsbuild(['--root', store, '--progress', 'plain', ...more, context]);
  }

  /** What `RUN … >/tmp/out/<name>` of a Dockerfile wrote, by name. */
  async function outputs(text: string): Promise<Readonly<Record<string, string>>> {
    await using folder = await tempFolder('out');
    const out = join(folder.path, 'out');
    const file = `RUN mkdir -m 1777 /tmp/out\n${text}\nFROM scratch\nCOPY --from=base /tmp/out /`;
    await must(run(file, '-o', `type=local,dest=${out}`));
    return Object.fromEntries(
      readdirSync(out).map((name) => [name, readFileSync(join(out, name), 'utf8').trim()]),
    );
  }

  const id = 'echo $(id -u) $(id -g) $(id -G)';

  test('L-USER-1: by name or number, with and without a group', async () => {
    const users = {
      none: '',
      root: 'USER root',
      named: 'USER app',
      number: 'USER 1000',
      unlisted: 'USER 4242',
      group: 'USER app:extra',
      groupNumber: 'USER app:77',
      numbers: 'USER 5:6',
      numberGroup: 'USER 4242:nogroup',
      variable: 'ARG WHO=nobody\nUSER $WHO',
      back: 'USER $NOBODY_AT_ALL',
    };
    const text = Object.entries(users).map(([name, user]) => `${user}\nRUN ${id} >/tmp/out/${name}`);
    expect(await outputs(text.join('\n'))).toEqual({
      none: '0 0 0',
      root: '0 0 0',
      // A name has its own group, and those that list it; so has a number that is in passwd.
      named: '1000 1000 1000 2000',
      number: '1000 1000 1000 2000',
      // A number that is not there has group 0.
      unlisted: '4242 0 0',
      // With a group there are no others.
      group: '1000 2000 2000',
      groupNumber: '1000 77 77',
      numbers: '5 6 6',
      numberGroup: '4242 65534 65534',
      variable: '65534 65534 65534',
      back: '0 0 0',
    });
  });

  test('L-USER-1: a user that a step before made, and HOME', async () => {
    const text = [
      'RUN echo "new:x:77:78::/home/new:/bin/sh" >>/etc/passwd && echo "team:x:80:new,app" >>/etc/group',
      'USER new',
      `RUN { ${id}; echo $HOME; } >/tmp/out/new`,
      'USER 12345',
      'RUN echo $HOME >/tmp/out/unlisted',
    ];
    expect(await outputs(text.join('\n'))).toEqual({ new: '77 78 78 80\n/home/new', unlisted: '/' });
  });

  test.each([
    ['USER nemo', 'user `nemo`'],
    ['USER nemo:app', 'user `nemo`'],
    ['USER app:nogroups', 'group `nogroups`'],
  ])('L-USER-1: %s is told when a step needs it', async (user, says) => {
    const { code, stderr } = await run(`${user}\nRUN true`);
    expect(code).toBe(1);
    expect(stderr).toContain('error[USER_UNKNOWN]');
    expect(stderr).toContain(says);
    expect(stderr).toContain('Dockerfile:3:1');
    // Without a step it is only a text of the config.
    await must(run(user));
  });

  test('L-USER-1: passwd is read inside the root, as a file of at most 10 MiB', async () => {
    const link = await run('RUN rm /etc/passwd && ln -s /proc/self/environ /etc/passwd\nUSER app\nRUN true');
    expect(link.code).toBe(1);
    expect(link.stderr).toContain('error[USER_UNKNOWN]');
    const large = await run(
      'RUN dd if=/dev/zero bs=1M count=11 2>/dev/null | tr "\\0" "\\n" >>/etc/passwd\nUSER app\nRUN true',
    );
    expect(large.code).toBe(1);
    expect(large.stderr).toContain('/etc/passwd of the image is too large');
    const moved = 'RUN mv /etc/passwd /etc/users && ln -s ../../etc/users /etc/passwd\nUSER app';
    expect(await outputs(`${moved}\nRUN id -u >/tmp/out/id`)).toEqual({ id: '1000' });
    const numbers = 'RUN rm /etc/passwd /etc/group\nUSER 7:8';
    expect(await outputs(`${numbers}\nRUN ${id} >/tmp/out/id`)).toEqual({ id: '7 8 8' });
  });

  test('L-USER-1 L-WD-1: owns the directory of WORKDIR, not what COPY brings', async () => {
    const text = [
      'USER app:extra',
      'WORKDIR /made/here',
      'COPY Dockerfile .',
      "RUN stat -c '%n %u:%g %a' /made /made/here /made/here/Dockerfile >/tmp/out/owners",
      'RUN pwd >/tmp/out/pwd && touch mine',
      'WORKDIR ../there',
      'USER root',
      'WORKDIR root/s',
      "RUN stat -c '%n %u:%g %a' /made/there /made/there/root /made/there/root/s >/tmp/out/more",
      'WORKDIR /made/here',
      "RUN stat -c '%n %u:%g' mine . >/tmp/out/again",
    ];
    const { owners, pwd, more, again } = await outputs(text.join('\n'));
    expect(owners?.split('\n')).toEqual([
      '/made 1000:2000 755',
      '/made/here 1000:2000 755',
      expect.stringMatching(/^\/made\/here\/Dockerfile 0:0 /),
    ]);
    expect(pwd).toBe('/made/here');
    expect(more?.split('\n')).toEqual([
      '/made/there 1000:2000 755',
      '/made/there/root 0:0 755',
      '/made/there/root/s 0:0 755',
    ]);
    expect(again?.split('\n')).toEqual(['mine 1000:2000', '. 1000:2000']);
  });

  test('L-VOL-1: what later steps write below a volume is kept', async () => {
    expect(await outputs('VOLUME /tmp/out\nRUN echo kept >/tmp/out/file')).toEqual({ file: 'kept' });
    const { code } = await run('VOLUME /never\nRUN test ! -e /never');
    expect(code).toBe(0);
  });

  test('L-SHELL-1: runs the steps after it', async () => {
    const text = 'SHELL ["/bin/sh", "-e", "-c"]\nRUN false; echo on >/tmp/out/never';
    expect((await run(text)).code).toBe(1);
    const echo =
      'SHELL ["/bin/busybox", "echo"]\nRUN not a command\nSHELL ["/bin/sh", "-c"]\nRUN echo $0 >/tmp/out/zero';
    expect(await outputs(echo)).toEqual({ zero: '/bin/sh' });
  });

  test('L-FROM-6: a stage that nothing needs is not run, nor its base asked for', async () => {
    const text =
      'RUN echo ok >/tmp/a\nFROM localhost/busybox AS broken\nRUN false\nFROM nowhere.invalid/image AS unknown\nRUN x\nFROM base';
    const { code, stderr } = await run(text);
    expect(code).toBe(0);
    expect(stderr).not.toContain('nowhere.invalid');
  });

  test('L-OB-1: a failed trigger is told with its text', async () => {
    await must(run('ONBUILD RUN echo from-trigger; exit 4', '-t', 'localhost/with-trigger'));
    const context = join(work.path, 'context');
    writeFileSync(join(context, 'Dockerfile'), 'FROM localhost/with-trigger\n');
    const { code, stderr } = await tsbuild(['--root', store, '--progress', 'plain', context]);
    expect(code).toBe(1);
    expect(stderr).toContain('ONBUILD RUN echo from-trigger');
    expect(stderr).toContain('error[STEP_FAILED]');
    expect(stderr).toContain('exit code: 4');
  });
});
