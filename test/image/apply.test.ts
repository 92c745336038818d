import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applyEntries } from '../../src/image/apply.ts';
import type { Entry } from '../../src/image/entry.ts';
import { readTar } from '../../src/image/tar.ts';
import { streamOf } from '../../src/util/streams.ts';
import { dir, file, hardlink, opaque, streamOfEntries, symlink, whiteout } from './entries.ts';
import { rawTar } from './raw-tar.ts';

// Unpacking without privileges; the overlay form is tested in test/integration.

let base = '';
let root = '';
let outside = '';

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'apply-test-'));
  root = join(base, 'root');
  outside = join(base, 'outside');
  mkdirSync(root);
  mkdirSync(outside, { mode: 0o750 });
  writeFileSync(join(outside, 'secret'), 'secret');
});

afterEach(() => {
  rmSync(base, { recursive: true, force: true });
});

const apply = (...entries: readonly Entry[]): Promise<void> =>
  applyEntries(streamOfEntries(...entries), root, { form: 'plain', owners: 'ignore' });
const at = (path: string): string => join(root, path);
const text = (path: string): string => readFileSync(at(path), 'utf8');
const invalid = { code: 'IMAGE_INVALID' };

describe('applyEntries', () => {
  test('a directory of an earlier layer that is not named stays as it was, its time too', async () => {
    const mtime = 1_500_000_000_000_000_007n;
    await apply(dir('d', { mode: 0o711, mtime }), dir('d/e', { mode: 0o1777, mtime }), file('d/e/old'));
    await apply(file('d/e/new'), whiteout('d/e/old'), whiteout('d/none'));
    for (const [path, mode] of [
      ['d', 0o711],
      ['d/e', 0o1777],
    ] as const) {
      const stat = lstatSync(at(path), { bigint: true });
      expect([stat.mtimeNs, Number(stat.mode) & 0o7777]).toEqual([mtime, mode]);
    }
    expect(readdirSync(at('d/e'))).toEqual(['new']);
  });

  test('makes what the entries say, times to the nanosecond and read-only directories too', async () => {
    const mtime = 1_600_000_000_123_456_789n;
    await apply(
      dir('ro', { mode: 0o555, mtime }),
      file('ro/f', 'content', { mode: 0o640, mtime }),
      symlink('ro/l', '../../etc', { mtime }),
      hardlink('ro/h', 'ro/f'),
      file('implied/deep/f', 'x'),
    );
    expect(text('ro/f')).toBe('content');
    const stat = lstatSync(at('ro/f'), { bigint: true });
    expect([stat.mtimeNs, Number(stat.mode) & 0o7777, stat.nlink]).toEqual([mtime, 0o640, 2n]);
    expect(lstatSync(at('ro/h'), { bigint: true }).ino).toBe(stat.ino);
    expect(readlinkSync(at('ro/l'))).toBe('../../etc');
    expect(lstatSync(at('ro/l'), { bigint: true }).mtimeNs).toBe(mtime);
    expect(lstatSync(at('ro'), { bigint: true }).mtimeNs).toBe(mtime);
    expect(lstatSync(at('ro')).mode & 0o7777).toBe(0o555);
    expect(lstatSync(at('implied/deep')).mode & 0o7777).toBe(0o755);
  });

  test('leaves setuid bits out when it does not keep owners', async () => {
    await apply(file('su', '', { mode: 0o6755 }));
    expect(lstatSync(at('su')).mode & 0o7777).toBe(0o755);
  });

  test('deletes for whiteouts what earlier layers left, and only that', async () => {
    await apply(
      dir('a'),
      file('a/old', 'x'),
      dir('b'),
      file('b/old', 'x'),
      dir('c'),
      dir('c/d'),
      file('c/d/old', 'x'),
    );
    await apply(
      file('a/new', 'n'),
      whiteout('a/old'),
      whiteout('a/new'),
      file('b/new', 'n'),
      opaque('b'),
      file('c/d/new', 'n'),
      whiteout('c'),
    );
    expect(readdirSync(at('a'))).toEqual(['new']);
    expect(readdirSync(at('b'))).toEqual(['new']);
    expect(readdirSync(at('c/d'))).toEqual(['new']);
  });

  test('replaces where the type changes', async () => {
    await apply(dir('d'), file('d/f', 'x'), file('f', 'x'), symlink('s', 'd'));
    await apply(file('d', 'now a file'), dir('f'), file('f/x', 'in it'), dir('s'));
    expect(text('d')).toBe('now a file');
    expect(text('f/x')).toBe('in it');
    expect(lstatSync(at('s')).isDirectory()).toBe(true);
  });

  test('where a path led is forgotten with the link on the way', async () => {
    await apply(dir('a'), dir('b'), symlink('l', 'a'), file('l/x/1', 'x'), file('l/x/2', 'x'));
    await apply(symlink('l', 'a'), file('l/x/3', 'x'), symlink('l', '/b'), file('l/x/4', 'x'), dir('l'));
    await apply(file('l/x/5', 'x'));
    expect(readdirSync(at('a/x'))).toEqual(['1', '2', '3']);
    expect(readdirSync(at('b/x'))).toEqual(['4']);
    expect(readdirSync(at('l/x'))).toEqual(['5']);
  });

  test('follows a link of the same layer inside the root: an absolute one starts at the root', async () => {
    await apply(
      dir('usr'),
      dir('usr/lib'),
      symlink('lib', '/usr/lib'),
      file('lib/x', 'here'),
      symlink('up', '../../../..'),
      file('up/y', 'top'),
    );
    expect(text('usr/lib/x')).toBe('here');
    expect(text('y')).toBe('top');
  });
});

describe('attacks on applyEntries', () => {
  const untouched = (): void => {
    expect(readdirSync(outside)).toEqual(['secret']);
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
    expect(lstatSync(outside).mode & 0o7777).toBe(0o750);
    expect(readdirSync(base).toSorted()).toEqual(['outside', 'root']);
  };

  test('a file through a link that leaves the root', async () => {
    await apply(
      symlink('l', outside),
      file('l/secret', 'evil'),
      symlink('r', '../outside'),
      file('r/secret', 'evil'),
    );
    untouched();
    expect(text(`${outside.slice(1)}/secret`)).toBe('evil');
    expect(text('outside/secret')).toBe('evil');
  });

  test('a file in place of a link goes beside its target', async () => {
    await apply(symlink('secret', join(outside, 'secret')), file('secret', 'evil'));
    untouched();
    expect(text('secret')).toBe('evil');
  });

  test('links that an earlier layer or somebody else left are replaced, not followed', async () => {
    symlinkSync(outside, at('l'));
    symlinkSync(outside, at('m'));
    await apply(file('l/secret', 'evil'), dir('m', { mode: 0o777 }), whiteout('m/secret'));
    untouched();
    expect(text('l/secret')).toBe('evil');
  });

  test('a hard link to a file outside, directly and through a link', async () => {
    await expect(apply(hardlink('h', `${outside.slice(1)}/secret`))).rejects.toMatchObject(invalid);
    await expect(apply(symlink('l', outside), hardlink('h', 'l/secret'))).rejects.toMatchObject(invalid);
    symlinkSync(outside, at('old'));
    await expect(apply(hardlink('h', 'old/secret'))).rejects.toMatchObject(invalid);
    untouched();
  });

  test('a hard link to a file of an earlier layer', async () => {
    writeFileSync(at('old'), 'old');
    await expect(apply(hardlink('h', 'old'))).rejects.toMatchObject({
      ...invalid,
      hint: expect.stringContaining('a layer can link its own files only') as string,
    });
    await apply(file('old', 'new'), hardlink('h', 'old'));
    expect(text('h')).toBe('new');
  });

  test('a hard link to a link is a link, and writing to its name does not write through it', async () => {
    await apply(symlink('l', join(outside, 'secret')), hardlink('h', 'l'), file('h', 'evil'));
    untouched();
    expect(text('h')).toBe('evil');
  });

  test('a hard link to a directory', async () => {
    await expect(apply(dir('d'), hardlink('h', 'd'))).rejects.toMatchObject(invalid);
  });

  test('a whiteout or an opaque marker through a link', async () => {
    await apply(
      symlink('l', outside),
      whiteout('l/secret'),
      opaque('l'),
      symlink('w', outside),
      whiteout('w'),
    );
    untouched();
  });

  test('a directory that becomes a link after its time and mode were noted', async () => {
    await apply(
      dir('a'),
      dir('a/b', { mode: 0o777, mtime: 1n }),
      symlink('a', outside),
      dir('x'),
      symlink('x', base),
    );
    mkdirSync(join(outside, 'b'), { mode: 0o700 });
    await apply(dir('c'), dir('c/b', { mode: 0o777, mtime: 1n }), symlink('c', outside));
    expect(lstatSync(join(outside, 'b')).mode & 0o7777).toBe(0o700);
    rmSync(join(outside, 'b'), { recursive: true });
    untouched();
  });

  test('a directory that becomes a link and is used again', async () => {
    await apply(dir('d'), file('d/1', 'x'), symlink('d', outside), file('d/secret', 'evil'));
    untouched();
  });

  test('a loop of links', async () => {
    await expect(apply(symlink('a', 'b'), symlink('b', 'a'), file('a/x', ''))).rejects.toMatchObject(invalid);
  });

  test('a file as parent', async () => {
    await expect(apply(file('f', ''), file('f/x', ''))).rejects.toMatchObject(invalid);
  });

  test('names that are too long for the disk', async () => {
    await expect(apply(file('n'.repeat(300), ''))).rejects.toMatchObject(invalid);
  });

  test('a root that is a link', async () => {
    const tar = rawTar({ name: './', typeflag: '2', linkname: outside }, { name: 'secret', body: 'evil' });
    const entries = readTar(streamOf(tar), { whiteouts: true });
    await expect(applyEntries(entries, root, { form: 'plain', owners: 'ignore' })).rejects.toMatchObject(
      invalid,
    );
    untouched();
    expect(existsSync(at('secret'))).toBe(false);
  });

  test('nothing is remembered of what stood below a directory that was replaced', async () => {
    await apply(
      file('d/sub/f', 'old'),
      hardlink('kept', 'd/sub/f'),
      symlink('d/out', outside),
      file('d', 'a file'),
      dir('d', { mode: 0o755 }),
      symlink('d/sub', outside),
      file('d/sub/secret', 'inside'),
      dir('d/out', { mode: 0o711 }),
    );
    untouched();
    expect(text('kept')).toBe('old');
    expect(readdirSync(at('d')).toSorted()).toEqual(['out', 'sub']);
    expect(lstatSync(at('d/out')).mode & 0o7777).toBe(0o711);
  });

  test('devices are left out when owners are ignored', async () => {
    await apply({ ...file('sda'), type: 'block', devMajor: 8, devMinor: 0 });
    expect(existsSync(at('sda'))).toBe(false);
  });
});
