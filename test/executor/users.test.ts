import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RootTree } from '../../src/executor/root-tree.ts';
import { resolveUser } from '../../src/executor/users.ts';
import { tempFolder } from '../support/temp.ts';

const passwd = [
  'root:x:0:0:root:/root:/bin/sh',
  'app:x:1000:1000::/home/app:',
  'odd:x:70000000000:1::/:',
  'bad:x:-1:1::/:',
  'short:x',
  'nohome:x:5:6',
  '',
].join('\n');
const group = 'root:x:0:\napp:x:1000:\nwheel:x:10:app,root\naudio:x:63:app\nhuge:x:4294967296:app\n';

async function withFiles(
  files: Readonly<Record<string, string>>,
  use: (tree: RootTree, root: string) => void,
): Promise<void> {
  await using folder = await tempFolder();
  mkdirSync(join(folder.path, 'root/etc'), { recursive: true });
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder.path, 'root', name), content);
  using tree = new RootTree(join(folder.path, 'root'));
  use(tree, join(folder.path, 'root'));
}

describe.runIf(process.platform === 'linux')('L-USER-1: who a step runs as', () => {
  const both = { 'etc/passwd': passwd, 'etc/group': group };

  test.each([
    ['', 0, 0, [0, 10], '/root'],
    ['root', 0, 0, [0, 10], '/root'],
    ['app', 1000, 1000, [1000, 10, 63], '/home/app'],
    ['1000', 1000, 1000, [1000, 10, 63], '/home/app'],
    ['app:wheel', 1000, 10, [10], '/home/app'],
    ['app:99', 1000, 99, [99], '/home/app'],
    ['2147483647', 2147483647, 0, [0], '/'],
    ['nohome', 5, 6, [6], '/'],
    [':wheel', 0, 10, [10], '/root'],
  ])('`%s`', (user, uid, gid, additionalGids, home) =>
    withFiles(both, (tree) => expect(resolveUser(tree, user)).toEqual({ uid, gid, additionalGids, home })),
  );

  test.each(['nobody', 'app:nogroup', '2147483648', '4294967296', '0:4294967296', 'odd', 'bad', 'short'])(
    'refuses `%s`',
    (user) =>
      withFiles(both, (tree) =>
        expect(() => resolveUser(tree, user)).toThrow(expect.objectContaining({ code: 'USER_UNKNOWN' })),
      ),
  );

  test('numbers need no files', () =>
    withFiles({}, (tree) => {
      expect(resolveUser(tree, '7:8')).toEqual({ uid: 7, gid: 8, additionalGids: [8], home: '/' });
    }));

  test('a link to the host is read inside the root (S-P-5)', () =>
    withFiles({ 'etc/inner': 'inner:x:77:78::/in:' }, (tree, root) => {
      symlinkSync('/etc/inner', join(root, 'etc/passwd'));
      expect(resolveUser(tree, 'inner')).toMatchObject({ uid: 77, gid: 78 });
    }));

  test('a link that only the host could resolve is no file', () =>
    withFiles({}, (tree, root) => {
      symlinkSync('../../../../../../etc/passwd', join(root, 'etc/passwd.real'));
      symlinkSync('passwd.real', join(root, 'etc/passwd'));
      expect(() => resolveUser(tree, 'daemon')).toThrow(expect.objectContaining({ code: 'USER_UNKNOWN' }));
    }));

  test('a FIFO does not block, a directory is no file', () =>
    withFiles({}, (tree, root) => {
      execFileSync('mkfifo', [join(root, 'etc/passwd')]);
      mkdirSync(join(root, 'etc/group'));
      expect(() => resolveUser(tree, 'app')).toThrow(expect.objectContaining({ code: 'USER_UNKNOWN' }));
      expect(() => resolveUser(tree, '1:app')).toThrow(expect.objectContaining({ code: 'USER_UNKNOWN' }));
    }));

  test('a file above 10 MiB is refused unread (CVE-2024-9676)', () =>
    withFiles({ 'etc/passwd': passwd }, (tree, root) => {
      truncateSync(join(root, 'etc/passwd'), 10 * 1024 * 1024 + 1);
      expect(() => resolveUser(tree, 'app')).toThrow(
        expect.objectContaining({ code: 'USER_UNKNOWN', message: '/etc/passwd of the image is too large' }),
      );
    }));
});
