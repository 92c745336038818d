import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lookupOwner, lookupUser, readUserFile } from '../../src/image/users.ts';
import { contextTree } from '../../src/source/context-tree.ts';
import { tempFolder } from '../support/temp.ts';

const files: Readonly<Record<string, string>> = {
  '/etc/passwd': [
    'root:x:0:0:root:/root:/bin/sh',
    '# comment:x:1:1::/:',
    'broken line',
    'app:x:1000:1001:App:/home/app:/bin/sh',
    'wide:x:4294967296:0::/:/bin/sh',
    'nohome:x:7:7:::',
  ].join('\n'),
  '/etc/group': 'root:x:0:\napp:x:1001:\nweb:x:50:other,app\ndocker:x:51:app\nhuge:x:4294967295:app\n',
};
const read = (path: string): Promise<string | undefined> => Promise.resolve(files[path]);
const nothing = (): Promise<undefined> => Promise.resolve(undefined);

test.each([
  ['app', 1000, 1001],
  ['app:web', 1000, 50],
  ['app:7', 1000, 7],
  ['5', 5, 5],
  ['5:6', 5, 6],
  ['5:web', 5, 50],
  ['007', 7, 7],
  ['2147483647:0', 2147483647, 0],
])('--chown=%s is %i:%i', async (spec, uid, gid) => {
  expect(await lookupOwner(spec, read)).toEqual({ uid, gid });
});

// CVE-2024-40635: a number that overflows became root.
test.each([
  'nobody',
  'app:',
  ':web',
  '',
  'app:none',
  '2147483648',
  '4294967296',
  '-1',
  '0:4294967296',
  'wide',
  'app:huge',
])('--chown=%s is an error', async (spec) => {
  await expect(lookupOwner(spec, read)).rejects.toMatchObject({ code: 'USER_UNKNOWN' });
  if (spec !== '') await expect(lookupUser(spec, read)).rejects.toMatchObject({ code: 'USER_UNKNOWN' });
});

test('numbers need no files', async () => {
  expect(await lookupOwner('1:2', nothing)).toEqual({ uid: 1, gid: 2 });
  await expect(lookupOwner('app', nothing)).rejects.toMatchObject({ code: 'USER_UNKNOWN' });
});

test.each([
  ['', { uid: 0, gid: 0, additionalGids: [0], home: '/root' }],
  ['app', { uid: 1000, gid: 1001, additionalGids: [1001, 50, 51], home: '/home/app' }],
  ['1000', { uid: 1000, gid: 1001, additionalGids: [1001, 50, 51], home: '/home/app' }],
  ['app:web', { uid: 1000, gid: 50, additionalGids: [50], home: '/home/app' }],
  ['1000:9', { uid: 1000, gid: 9, additionalGids: [9], home: '/home/app' }],
  ['4242', { uid: 4242, gid: 0, additionalGids: [0], home: '/' }],
  ['nohome', { uid: 7, gid: 7, additionalGids: [7], home: '/' }],
])('USER %s', async (spec, expected) => {
  expect(await lookupUser(spec, read)).toEqual(expected);
});

describe('L-USER-1: a hostile /etc/passwd (S-P-5)', () => {
  const attempt = async (prepare: (etc: string, root: string) => void): Promise<string | undefined> => {
    await using folder = await tempFolder('users');
    const etc = join(folder.path, 'root', 'etc');
    mkdirSync(etc, { recursive: true });
    writeFileSync(join(folder.path, 'outside'), 'evil:x:0:0::/:/bin/sh\n');
    prepare(etc, join(folder.path, 'root'));
    return await readUserFile(contextTree(join(folder.path, 'root')), '/etc/passwd');
  };

  test('a link out of the root leads nowhere', async () => {
    expect(await attempt((etc) => symlinkSync('../../outside', join(etc, 'passwd')))).toBeUndefined();
    expect(
      await attempt((etc) => symlinkSync(join(etc, '..', '..', 'outside'), join(etc, 'passwd'))),
    ).toBeUndefined();
  });

  test('a link inside the root is followed', async () => {
    const content = await attempt((etc, root) => {
      writeFileSync(join(root, 'real'), 'a:x:1:1::/:');
      symlinkSync('/real', join(etc, 'passwd'));
    });
    expect(content).toBe('a:x:1:1::/:');
  });

  test('a FIFO is not opened', async () => {
    await expect(attempt((etc) => execFileSync('mkfifo', [join(etc, 'passwd')]))).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
    });
  });

  test('a huge file is not read', async () => {
    const huge = (etc: string): void => {
      writeFileSync(join(etc, 'passwd'), '');
      truncateSync(join(etc, 'passwd'), 10 * 1024 * 1024 + 1);
    };
    await expect(attempt(huge)).rejects.toMatchObject({ code: 'IMAGE_INVALID' });
  });

  test('a directory, and a loop of links', async () => {
    await expect(attempt((etc) => mkdirSync(join(etc, 'passwd')))).rejects.toMatchObject({
      code: 'IMAGE_INVALID',
    });
    await expect(attempt((etc) => symlinkSync('passwd', join(etc, 'passwd')))).rejects.toMatchObject({
      code: 'COPY_INVALID',
    });
  });
});
