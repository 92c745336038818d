import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxRootfs } from '../support/base-images.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import type { CommandResult } from '../support/cli.ts';
import { ownersDockerfile } from '../support/owners-dockerfile.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { flatten, readLayout, treeLines } from '../support/tree.ts';
import { unprivileged } from '../support/unprivileged.ts';
import type { TestUser } from '../support/users.ts';
import { makeUser } from '../support/users.ts';

const needs = [
  'root',
  tool('unshare', 'util-linux'),
  tool('busybox', 'busybox-static'),
  tool('newuidmap', 'uidmap'),
  tool('runc'),
] as const;

suite('RUN without root', needs, () => {
  let work: TempFolder;
  let context: string;
  let many: TestUser;
  let one: TestUser;

  beforeAll(async () => {
    work = await tempFolder('rootless');
    context = join(work.path, 'context');
    mkdirSync(context);
    await must(command('cp', [busyboxRootfs(), join(context, 'rootfs.tar')]));
    writeFileSync(join(context, 'hello'), 'hello\n');
    writeFileSync(join(context, 'Dockerfile'), ownersDockerfile);
    await must(command('chmod', ['-R', 'u=rwX,go=rX', work.path]));
    many = await makeUser('subordinate');
    one = await makeUser('none');
  });
  afterAll(async () => {
    for (const made of [work, many, one]) await made[Symbol.asyncDispose]();
  });

  const env = { SOURCE_DATE_EPOCH: '1000000000', WORD: 'hush-hush-12' };
  async function built(
    as: (args: readonly string[], options: { env: Record<string, string> }) => Promise<CommandResult>,
    folder: string,
    runtime: string,
  ): Promise<readonly string[]> {
    const store = join(folder, `store-${runtime}`);
    const out = join(folder, `out-${runtime}`);
    const output = `type=oci,tar=false,dest=${out}`;
    const secret = ['--secret', 'id=word,env=WORD'];
    await must(as(['--root', store, '--runtime', runtime, ...secret, '-o', output, context], { env }));
    const image = await readLayout(out);
    return [image.digest, ...treeLines(flatten(image.layers))];
  }

  test('gives the image that root gets, with many ids and with one, on runc and embedded', async () => {
    const expected = await built(tsbuild, work.path, 'embedded');
    expect(expected).toContainEqual(expect.stringMatching(/^\/data\/moved file 0640 1000:1000 /));
    expect(expected).toContainEqual(expect.stringMatching(/^\/data\/link symlink - 1000:2000 /));
    expect(expected).toContainEqual(expect.stringMatching(/^\/data\/dir\/inner file 0644 1:2 /));
    expect(expected).toContainEqual(expect.stringMatching(/^\/data\/suid file 6755 0:2000 /));
    expect(expected).toContainEqual(expect.stringMatching(/^\/home\/app\/mine file 0644 1000:1000 /));
    expect(await built(many.tsbuild, many.home, 'embedded')).toEqual(expected);
    expect(await built(many.tsbuild, many.home, 'runc')).toEqual(expected);
    expect(await built(one.tsbuild, one.home, 'embedded')).toEqual(expected);
  });

  test('everything is cached the second time, and nothing but the store is needed', async () => {
    const args = ['--root', join(many.home, 'store-embedded'), '--progress', 'plain', '-t', 'again', context];
    const secret = ['--secret', 'id=word,env=WORD'];
    const { code, stderr } = await many.tsbuild([...secret, ...args], { env });
    expect(code).toBe(0);
    expect(stderr.match(/^#\d+ CACHED$/gm)?.length).toBeGreaterThan(10);
    expect(stderr).not.toMatch(/^#\d+ because/m);
  });

  describe('a user with a single id', () => {
    test('is told what that means, and which command gives more', async () => {
      const { stderr } = await one.tsbuild(['--no-cache', '--target', 'base', '-t', 'base', context]);
      expect(stderr).not.toContain('SingleId');
      const folder = join(one.home, 'single');
      mkdirSync(folder);
      writeFileSync(join(folder, 'Dockerfile'), 'FROM base\nRUN true\n');
      expect((await one.tsbuild([folder])).stderr).toContain('SingleId: steps run with a single id');
      const doctor = await must(one.tsbuild(['doctor']));
      expect(doctor).toMatch(/rung +rootless, but with a single id/);
      expect(doctor).toContain(`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${one.name}`);
      expect(await must(many.tsbuild(['doctor']))).toMatch(/rung +rootless, with the ids that images have/);
    });

    test('cannot use a runtime that needs more', async () => {
      const folder = join(one.home, 'single');
      const { code, stderr } = await one.tsbuild(['--no-cache', '--runtime', 'runc', folder]);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /error\[SANDBOX_UNAVAILABLE\]: with a single id only the embedded runtime works/,
      );
    });
  });

  test('a kernel without user namespaces: which setting it is', async () => {
    const folder = join(work.path, 'none');
    mkdirSync(folder);
    writeFileSync(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\nRUN ["/x"]\n');
    await must(command('chown', ['-R', '65534:65534', folder]));
    const args = [binary, '--root', join(folder, 'store'), folder];
    const options = { cwd: folder, env: { HOME: folder } };
    const { code, stderr } = await unprivileged(process.execPath, args, options);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /error\[SANDBOX_UNAVAILABLE\]: a step needs a user namespace: .*max_user_namespaces is 0/,
    );
  });

  test('`tsbuild run` works, with the status of the command', async () => {
    const args = ['--root', join(many.home, 'store-embedded'), 'run', 'again', 'sh', '-c', 'id -u; exit 7'];
    const { code, stdout } = await many.tsbuild(args);
    expect([code, stdout]).toEqual([7, '1000\n']);
  });

  test('killed in the middle: nothing runs on, and the next build leaves nothing in the store', async () => {
    const folder = join(many.home, 'killed');
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'Dockerfile'),
      'FROM base\nRUN chown 1000 /tmp && echo started && (setsid sleep 987654 & sleep 987654)\n',
    );
    const store = join(many.home, 'store-embedded');
    await must(many.tsbuild(['--root', store, '--target', 'base', '-t', 'base', context]));
    const kill = { signal: 'SIGKILL', until: 'started\n', group: true } as const;
    const { code } = await many.tsbuild(['--root', store, '--progress', 'plain', folder], { kill });
    expect(code).toBe(137);
    const running = (): string[] =>
      readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandLine(pid).includes('\u0000987654'));
    for (let tries = 0; running().length > 0 && tries < 1000; tries += 1) await sleep(20);
    expect(running()).toEqual([]);
    writeFileSync(join(folder, 'Dockerfile'), 'FROM base\nRUN true\n');
    await must(many.tsbuild(['--root', store, folder]));
    expect(readdirSync(join(store, 'snapshots'))).toEqual([]);
    expect(readdirSync(join(store, 'tmp'))).toEqual([]);
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
