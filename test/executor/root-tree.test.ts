import { existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RootTree } from '../../src/executor/root-tree.ts';
import { tempFolder } from '../support/temp.ts';

const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

describe.runIf(process.platform === 'linux')('a root tree', () => {
  test('resolves links inside itself, dots stop at its top', async () => {
    await using folder = await tempFolder();
    const root = join(folder.path, 'root');
    mkdirSync(join(root, 'a/b'), { recursive: true });
    writeFileSync(join(root, 'a/file'), '');
    symlinkSync('/a', join(root, 'absolute'));
    symlinkSync('../../../a/b', join(root, 'a/b/dots'));
    symlinkSync('/proc/self/root', join(root, 'door'));
    symlinkSync('loop', join(root, 'loop'));
    symlinkSync('later/on', join(root, 'dangling'));
    using tree = new RootTree(root);
    const at = (path: string): string => {
      const place = tree.resolve(path);
      return `${place.path} ${place.type}`;
    };
    expect(at('/')).toBe('/ directory');
    expect(at('/absolute/b')).toBe('/a/b directory');
    expect(at('/a/b/dots/../file')).toBe('/a/file file');
    expect(at('/../../../../a')).toBe('/a directory');
    expect(at('/door/etc')).toBe('/proc/self/root/etc missing');
    expect(at('/dangling/x')).toBe('/later/on/x missing');
    expect(tree.resolve('/dangling/x').missing).toEqual(['later', 'on', 'x']);
    expect(() => at('/loop')).toThrow(expect.objectContaining({ code: 'PATH_OUTSIDE' }));
    expect(() => at('/none/../../x')).toThrow(expect.objectContaining({ code: 'PATH_OUTSIDE' }));
  });

  test('writes through no link', async () => {
    await using folder = await tempFolder();
    const root = join(folder.path, 'root');
    const outside = join(folder.path, 'outside');
    mkdirSync(root);
    mkdirSync(outside);
    symlinkSync(outside, join(root, 'out'));
    symlinkSync(join(outside, 'made'), join(root, 'link'));
    using tree = new RootTree(root);
    expect(() => tree.makeDirectory('/out', 'x', { ...self, mode: 0o755 })).toThrow(
      expect.objectContaining({ code: 'ENOTDIR' }),
    );
    expect(() => tree.makeFile('/', 'link', { ...self, mode: 0o644, content: new Uint8Array() })).toThrow(
      expect.objectContaining({ code: 'EEXIST' }),
    );
    expect(tree.plainDirectory('/out')).toBe(false);
    expect(tree.plainDirectory('/none')).toBe(undefined);
    expect(readdirSync(outside)).toEqual([]);
  });

  test('gives what it makes exactly its mode, whatever the umask is', async () => {
    await using folder = await tempFolder();
    using tree = new RootTree(folder.path);
    tree.makeDirectory('/', 'open', { ...self, mode: 0o1777 });
    tree.makeFile('/open', 'file', { ...self, mode: 0o666, content: Buffer.from('abc') });
    expect(lstatSync(join(folder.path, 'open')).mode & 0o7777).toBe(0o1777);
    expect(lstatSync(join(folder.path, 'open/file')).mode & 0o7777).toBe(0o666);
    expect(tree.readFile('/open/file', 3)?.toString()).toBe('abc');
    expect(() => tree.readFile('/open/file', 2)).toThrow(RangeError);
    expect(existsSync(join(folder.path, 'none'))).toBe(false);
    expect(tree.readFile('/none', 2)).toBe(undefined);
  });
});
