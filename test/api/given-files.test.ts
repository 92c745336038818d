import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { BuildOptions } from '../../src/index.ts';
import {
  attachArtifact,
  BuildError,
  build,
  imageDigest,
  listImages,
  listTags,
  run,
  shell,
} from '../../src/index.ts';
import { openStore } from '../../src/store/store.ts';
import { tempFolder } from '../support/temp.ts';

// What a caller names and what is not there, or is not what it should be, is told before anything runs.

interface Told {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

/** A build of nothing but the Dockerfile. */
async function refused(options: (folder: string) => BuildOptions): Promise<Told> {
  await using work = await tempFolder('given');
  const context = join(work.path, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
  const given = {
    root: join(work.path, 'store'),
    context,
    env: {},
    outputs: [{ type: 'cacheonly' as const }],
  };
  try {
    await build({ ...given, ...options(work.path) });
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    const { code, message, hint } = error;
    return { code, message: message.replaceAll(work.path, '.'), hint };
  }
  throw new Error('it was built');
}

describe('files of a build', () => {
  test('a secret', async () => {
    const hint = 'give an existing file or a variable: --secret id=s,src=FILE or --secret id=s,env=NAME';
    expect(await refused((folder) => ({ secrets: [{ id: 's', file: join(folder, 'no') }] }))).toEqual({
      code: 'SECRET_MISSING',
      message: 'the file `./no` of the secret `s` does not exist',
      hint,
    });
    expect(await refused((folder) => ({ secrets: [{ id: 's', file: folder }] }))).toEqual({
      code: 'SECRET_MISSING',
      message: 'the file `.` of the secret `s` cannot be read: it is a directory',
      hint,
    });
    expect((await refused(() => ({ secrets: [{ id: 's', file: 's' }] }))).message).toBe(
      'the file `s` of the secret `s` does not exist, and no variable `s` is set',
    );
  });

  test('a build context, also one that nothing uses', async () => {
    expect(await refused((folder) => ({ buildContexts: { lib: join(folder, 'no') } }))).toEqual({
      code: 'CONTEXT_NOT_FOUND',
      message: '--build-context lib: the build context `./no` does not exist',
      hint: 'give a directory or a URL; for an image write lib=docker-image://NAME',
    });
    const file = await refused((folder) => ({ buildContexts: { lib: join(folder, 'context/Dockerfile') } }));
    expect(file).toMatchObject({
      code: 'CONTEXT_INVALID',
      message: expect.stringContaining('is no directory'),
    });
  });

  test('an output', async () => {
    expect(await refused(() => ({ outputs: [{ type: 'oci', dest: '/proc/no/x.tar' }] }))).toMatchObject({
      code: 'OUTPUT_FAILED',
      message: 'cannot write /proc/no/x.tar: no such file or directory',
      hint: expect.stringContaining('choose another destination'),
    });
    const long = 'x'.repeat(300);
    const directory = { type: 'oci', tar: false } as const;
    expect(
      await refused((folder) => ({ outputs: [{ ...directory, dest: join(folder, long) }] })),
    ).toMatchObject({
      code: 'OUTPUT_FAILED',
      message: `cannot write ./${long}: its name is too long`,
    });
  });
});

test('a store where none can be', async () => {
  await using work = await tempFolder('given');
  const root = join(work.path, 'x'.repeat(300));
  await expect(listImages({ root, env: {} })).rejects.toMatchObject({
    code: 'STORE_FAILED',
    message: expect.stringContaining(`making the store at ${root} failed: ENAMETOOLONG`) as string,
  });
});

test('a layout that is a file, or has a name that cannot be', async () => {
  await using work = await tempFolder('given');
  writeFileSync(join(work.path, 'file'), '');
  const digest = (name: string): Promise<string> =>
    imageDigest({ root: join(work.path, 'store'), env: {}, image: `oci:${join(work.path, name)}` });
  await expect(digest('file')).rejects.toMatchObject({
    code: 'IMAGE_NOT_FOUND',
    message: `${work.path}/file is no OCI image layout`,
    hint: `it has no ${work.path}/file/oci-layout`,
  });
  const long = 'x'.repeat(300);
  await expect(digest(long)).rejects.toMatchObject({
    code: 'IMAGE_INVALID',
    message: `cannot read ${work.path}/${long}/oci-layout: its name is too long`,
  });
});

test('files to attach are looked at before a registry is asked', async () => {
  await using work = await tempFolder('given');
  const attach = (path: string): Promise<unknown> =>
    attachArtifact({
      root: join(work.path, 'store'),
      env: {},
      image: 'localhost:1/no:1',
      artifactType: 'a/b',
      files: [{ path }],
    });
  const missing = join(work.path, 'no');
  await expect(attach(missing)).rejects.toMatchObject({
    code: 'USAGE',
    message: `cannot attach \`${missing}\`: no such file or directory`,
  });
  await expect(attach(work.path)).rejects.toMatchObject({
    code: 'USAGE',
    message: `cannot attach \`${work.path}\`: it is no file of at most 512 MiB`,
  });
});

test('a store behind links is used where it is', async () => {
  await using work = await tempFolder('given');
  mkdirSync(join(work.path, 'real'));
  symlinkSync('real', join(work.path, 'link'));
  await using store = await openStore(join(work.path, 'link', 'store'));
  expect(store.root).toBe(join(realpathSync(work.path), 'real', 'store'));
});

test('a terminal is refused where this process has none', async () => {
  const { isTTY } = process.stdout;
  process.stdout.isTTY = false;
  try {
    const asked = { image: 'x', interactive: true, tty: true };
    const told = { name: 'BuildError', code: 'USAGE', hint: expect.stringContaining('`interactive` alone') };
    await expect(run(asked)).rejects.toMatchObject(told);
    await expect(shell(asked)).rejects.toMatchObject(told);
    await expect(shell({ interactive: true, tty: true })).rejects.toMatchObject(told);
  } finally {
    process.stdout.isTTY = isTTY;
  }
});

test('tags of a registry without a repository', async () => {
  await using work = await tempFolder('given');
  await expect(listTags({ root: work.path, env: {}, repository: 'localhost:5911' })).rejects.toMatchObject({
    code: 'REFERENCE_INVALID',
    message: '`localhost:5911` names a registry and no repository in it',
    hint: 'write localhost:5911/NAME',
  });
});
