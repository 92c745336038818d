import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { onTerminal } from '../support/terminal.ts';
import type { TestUser } from '../support/users.ts';
import { makeUser } from '../support/users.ts';

/** Who builds, and on which runtime. */
const places = [
  { rung: 'root', runtime: 'runc' },
  { rung: 'root', runtime: 'embedded' },
  { rung: 'subordinate', runtime: 'runc' },
  { rung: 'subordinate', runtime: 'embedded' },
  { rung: 'none', runtime: 'embedded' },
] as const;

const needs = ['root', tool('runc'), tool('busybox', 'busybox-static'), tool('newuidmap', 'uidmap')] as const;

suite('M-4: shells of the command', needs, () => {
  let folder: TempFolder;
  let context: string;
  const users = new Map<string, TestUser>();
  const opened = new AsyncDisposableStack();
  const storeOf = (rung = 'root'): string => join(users.get(rung)?.home ?? folder.path, 'store');
  const root = (rung?: string): string[] => ['--root', storeOf(rung)];
  beforeAll(async () => {
    folder = opened.use(await tempFolder('shell-e2e'));
    context = join(folder.path, 'context');
    mkdirSync(context);
    writeFileSync(
      join(context, 'Dockerfile'),
      'FROM base\nENV A=1\nWORKDIR /w\nRUN echo made >f\nUSER app\nRUN echo last words; echo left >/tmp/x; exit 3\n',
    );
    chmodSync(folder.path, 0o755);
    await makeBase(storeOf(), 'base', busyboxRootfs());
    for (const ids of ['subordinate', 'none'] as const) {
      const user = opened.use(await makeUser(ids));
      users.set(ids, user);
      await makeBase(storeOf(ids), 'base', busyboxRootfs(), user.tsbuild);
    }
  });
  afterAll(() => opened.disposeAsync());

  describe.each(places)('on $runtime, the ids of the user: $rung', ({ rung, runtime }) => {
    // With a single id nobody else can be become.
    const prompt = rung === 'none' ? '/w # ' : '/w $ ';
    const user = (): TestUser | undefined => users.get(rung);
    test.each(['plain', 'tty'])('--on-fail=shell, with --progress=%s', async (progress) => {
      const flags = ['--on-fail=shell', '--runtime', runtime, '--progress', progress, '--network=none'];
      const { code, screen, restored } = await onTerminal(
        ['build', ...root(rung), ...flags, context],
        [
          [prompt, 'cat /tmp/x f; echo $A-$TERM; stty size\r'],
          ['30 90\n', { rows: 40, columns: 100 }],
          [prompt, 'until stty size | grep "40 1"; do sleep 0.1; done\r'],
          // A command that is interrupted ends, and neither shell nor build. It says itself that it has the terminal.
          ['40 100\n', "sh -c 'echo now; exec sleep 60'\r"],
          ['\nnow\n', '\x03'],
          [prompt, 'echo still here\r'],
          ['still here\n', 'exit 9\r'],
        ],
        { user: user() },
      );
      expect(code).toBe(1);
      const [before = '', after = ''] = screen.split('This is a shell in its place');
      expect(before).toContain('last words');
      expect(before).toMatch(/RUN echo last words.* failed with exit code 3\.\n$/);
      expect(after).toContain('left\nmade\n1-xterm\n30 90\n');
      expect(after).toMatch(/error\[STEP_FAILED\]: process .*exit code: 3\n/);
      expect(after).not.toMatch(/#\d|=>|unshare|control turned off/);
      expect(restored).toBe(true);
      expect(readdirSync(join(storeOf(rung), 'snapshots'))).toEqual([]);
    });

    test('at a line, at a terminal', async () => {
      const flags = ['--runtime', runtime, '--network=none', '--progress=plain'];
      const { code, screen, restored } = await onTerminal(
        ['shell', ...root(rung), ...flags, ':4', context],
        [
          ['/w # ', 'cat f; echo $((40 + 2)) >>f; cat f\r'],
          ['made\n42\n', 'exit 5\r'],
        ],
        { user: user() },
      );
      expect([code, restored]).toEqual([5, true]);
      expect(screen).toContain('made\nmade\n42\n');
      const run = user()?.tsbuild ?? tsbuild;
      expect((await run(['shell', ...root(rung), ...flags, '-c', 'cat f', ':4', context])).stdout).toBe(
        'made\n',
      );
    });
  });

  test('from a pipe and with -c there is no terminal, and nothing but the output on stdout', async () => {
    const line = [...root(), '--network=none', ':4', context];
    const piped = await tsbuild(['shell', ...line], { input: 'cat f; test -t 0 || echo none; exit 4' });
    expect([piped.code, piped.stdout]).toEqual([4, 'made\nnone\n']);
    const command = await tsbuild(['shell', ...line, '-c', 'cat; echo $A; echo oops >&2'], {
      input: 'typed\n',
    });
    expect([command.code, command.stdout]).toEqual([0, 'typed\n1\n']);
    expect(command.stderr).toContain('oops\n');
    const image = ['shell', ...root(), '--network=none', 'base', '-c', 'head -n1 /etc/passwd'];
    expect(await must(tsbuild(image))).toBe('root:x:0:0:root:/root:/bin/sh\n');
  });

  test('--on-fail=shell without a terminal is refused before anything runs', async () => {
    const { code, stderr } = await tsbuild(['build', ...root(), '--on-fail=shell', context]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error\[USAGE\]: `--on-fail=shell` needs a terminal on stdin and stdout\n/);
  });
});
