import { describe, expect, test } from 'vitest';
import { resolveInRoot, resolveInRootSync } from '../../src/image/root-path.ts';

function tree(links: Readonly<Record<string, string>>, files: readonly string[] = []) {
  return {
    lstat: (path: string) => {
      const linkTarget = links[path];
      if (linkTarget !== undefined) return { type: 'symlink', linkTarget };
      return files.includes(path) ? { type: 'file' } : undefined;
    },
  };
}

describe('resolveInRoot', () => {
  const links = {
    abs: '/etc/x',
    rel: 'd/../e',
    up: '../../../../e',
    chain: 'abs',
    self: 'self',
    dot: '.',
    root: '/',
    'e/back': '..',
  };

  test.each([
    ['abs', 'etc/x'],
    ['abs/y', 'etc/x/y'],
    ['rel', 'e'],
    ['up', 'e'],
    ['up/back/abs', 'etc/x'],
    ['chain', 'etc/x'],
    ['dot/dot/abs', 'etc/x'],
    ['root/../root/e', 'e'],
    ['../../a/./b//c', 'a/b/c'],
    ['missing/../abs', 'etc/x'],
    ['missing/abs', 'missing/abs'],
    ['', ''],
    ['/', ''],
  ])('%s leads to %s', (path, expected) => {
    expect(resolveInRootSync(tree(links, ['e']), path)).toBe(expected);
  });

  test('keeps the last link when asked to, also with a slash after it', () => {
    expect(resolveInRootSync(tree(links), 'abs', 'keep')).toBe('abs');
    expect(resolveInRootSync(tree(links), 'dot/abs', 'keep')).toBe('abs');
    expect(resolveInRootSync(tree({ a: '/b', 'b/c': '/d' }, ['b']), 'a/c', 'keep')).toBe('b/c');
  });

  test('gives up after 255 links', async () => {
    expect(() => resolveInRootSync(tree(links), 'self')).toThrow('255');
    const chain = Object.fromEntries(Array.from({ length: 256 }, (_, at) => [`l${at}`, `l${at + 1}`]));
    expect(resolveInRootSync(tree(chain), 'l1')).toBe('l256');
    expect(() => resolveInRootSync(tree(chain), 'l0')).toThrow('255');
    await expect(
      resolveInRoot({ lstat: async () => ({ type: 'symlink', linkTarget: 'x' }) }, 'x'),
    ).rejects.toThrow('255');
  });
});
