import {
  chmodSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { contextTree } from '../../src/source/context-tree.ts';
import { openStatCache } from '../../src/store/stat-cache.ts';
import { openState } from '../../src/store/state.ts';
import { tempFolder } from '../support/temp.ts';

/** A context with what is remembered of it, as builds find it one after the other. */
async function context(): Promise<{
  readonly path: string;
  /** @param age How long after now the build begins, in milliseconds: what is younger is not trusted. */
  digest(age?: number): Promise<string | undefined>;
  fresh(): Promise<string | undefined>;
  [Symbol.asyncDispose](): PromiseLike<void>;
}> {
  const folder = await tempFolder('known');
  const path = join(folder.path, 'context');
  mkdirSync(join(path, 'd/e'), { recursive: true });
  mkdirSync(join(folder.path, 'store'));
  for (const [index, name] of ['a', 'b', 'd/a', 'd/e/a', 'd/e/b'].entries())
    writeFileSync(join(path, name), `${index}`);
  return {
    path,
    digest: async (age = 60_000) => {
      const state = openState(join(folder.path, 'store'));
      try {
        return await contextTree(path, { statCache: openStatCache(state, Date.now() + age) }).contentBelow?.(
          '',
        );
      } finally {
        state.close();
      }
    },
    fresh: async () => contextTree(path).contentBelow?.(''),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const changes: Readonly<Record<string, (path: string) => void>> = {
  'a content of the same size': (path) => writeFileSync(join(path, 'd/e/a'), 'X'),
  'a content of another size': (path) => writeFileSync(join(path, 'a'), 'longer'),
  'a mode': (path) => chmodSync(join(path, 'd/a'), 0o755),
  'the mode of a directory': (path) => chmodSync(join(path, 'd/e'), 0o700),
  'a new file': (path) => writeFileSync(join(path, 'd/e/c'), ''),
  'a new directory': (path) => mkdirSync(join(path, 'd/f')),
  'a file that is gone': (path) => rmSync(join(path, 'd/e/b')),
  'another name': (path) => renameSync(join(path, 'd/e/b'), join(path, 'd/e/c')),
  'another directory': (path) => renameSync(join(path, 'd/e/b'), join(path, 'd/b')),
  'the name of a directory': (path) => renameSync(join(path, 'd/e'), join(path, 'd/f')),
  'names that are swapped': (path) => {
    renameSync(join(path, 'd/e/a'), join(path, 'x'));
    renameSync(join(path, 'd/e/b'), join(path, 'd/e/a'));
    renameSync(join(path, 'x'), join(path, 'd/e/b'));
  },
  'a link in the place of a file': (path) => {
    rmSync(join(path, 'b'));
    symlinkSync('a', join(path, 'b'));
  },
  'a content with the old time put back': (path) => {
    utimesSync(join(path, 'a'), 1000, 1000);
    writeFileSync(join(path, 'a'), 'Y');
    utimesSync(join(path, 'a'), 1000, 1000);
  },
};

describe('what is remembered of directories', () => {
  test.each(Object.entries(changes))('%s is seen', async (_, change) => {
    await using one = await context();
    const before = await one.digest();
    expect(await one.digest()).toBe(before);
    change(one.path);
    expect(await one.digest()).not.toBe(before);
    expect(await one.digest()).toBe(await one.fresh());
  });

  test('a time alone changes nothing, nor does the place', async () => {
    await using one = await context();
    const before = await one.digest();
    utimesSync(join(one.path, 'a'), 1000, 1000);
    expect(await one.digest()).toBe(before);
    renameSync(one.path, `${one.path}-moved`);
    expect(await contextTree(`${one.path}-moved`).contentBelow?.('')).toBe(before);
  });

  test('what was written in the tick of the last look is read again (racy timestamps)', async () => {
    await using one = await context();
    // The build begins within the tick in which the files were written, so nothing of them may be remembered.
    await one.digest(-1000);
    const file = join(one.path, 'd/e/a');
    writeFileSync(file, 'Z');
    expect(await one.digest(-1000)).toBe(await one.fresh());
    expect(await one.digest()).toBe(await one.fresh());
  });

  test('two names of one file have no digest; a name outside does not matter', async () => {
    await using one = await context();
    const before = await one.digest();
    linkSync(join(one.path, 'a'), join(one.path, '..', 'outside'));
    expect(await one.digest()).toBe(before);
    linkSync(join(one.path, 'a'), join(one.path, 'd/link'));
    expect(await one.digest()).toBeUndefined();
  });

  test('modes as git keeps them have digests of their own', async () => {
    await using one = await context();
    const git = async (): Promise<string | undefined> =>
      contextTree(one.path, { modes: 'git' }).contentBelow?.('');
    const before = await git();
    chmodSync(join(one.path, 'a'), 0o600);
    chmodSync(join(one.path, 'd'), 0o750);
    expect(await git()).toBe(before);
    chmodSync(join(one.path, 'a'), 0o755);
    expect(await git()).not.toBe(before);
  });

  test('a file that changes after its directory was looked at is told when it is used', async () => {
    await using one = await context();
    await one.digest();
    const tree = contextTree(one.path);
    await tree.contentBelow?.('');
    const known = contextTree(one.path, {
      statCache: {
        get: () => undefined,
        set: () => undefined,
        directory: () => 'known',
        setDirectory: () => undefined,
      },
    });
    await known.contentBelow?.('');
    writeFileSync(join(one.path, 'a'), 'changed');
    await expect(known.lstat('a')).rejects.toMatchObject({ code: 'CONTEXT_INVALID' });
    expect((await known.lstat('b'))?.size).toBe(1);
  });
});
