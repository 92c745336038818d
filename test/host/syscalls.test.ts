import { closeSync, lstatSync, mkdirSync, openSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  deviceNumbers,
  flock,
  lgetxattr,
  llistxattr,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  lremovexattr,
  lsetxattr,
  lutimes,
  mknod,
  openat2,
  RESOLVE_BENEATH,
} from '../../src/host/syscalls.ts';
import { tempFolder } from '../support/temp.ts';

describe.runIf(process.platform === 'linux')('system calls', () => {
  test('times have nanoseconds, may be before 1970, and are those of a link itself', async () => {
    await using folder = await tempFolder();
    const file = join(folder.path, 'file');
    const link = join(folder.path, 'link');
    writeFileSync(file, '');
    symlinkSync('file', link);
    lutimes(file, -1n, 1_234_567_890_123_456_789n);
    lutimes(link, 5n, -2_000_000_001n);
    const times = (path: string): bigint[] => {
      const stat = lstatSync(path, { bigint: true });
      return [stat.atimeNs, stat.mtimeNs];
    };
    // The file first: to follow the link would set the file's.
    expect(times(file)).toEqual([-1n, 1_234_567_890_123_456_789n]);
    expect(times(link)[1]).toBe(-2_000_000_001n);
  });

  test('errors look like those of Node', () => {
    const expected = { code: 'ENOENT', errno: -2, path: '/no/such/file' };
    expect(() => lgetxattr('/no/such/file', 'user.x')).toThrow(expect.objectContaining(expected));
    const made = (): void => mknod('/no/such/file', 0o10600, { major: 0, minor: 0 });
    expect(made).toThrow(expect.objectContaining({ syscall: 'mknod' }));
  });

  test('a path with a NUL byte is refused before C cuts it short', () => {
    expect(() => lgetxattr('/etc/passwd\0.txt', 'user.x')).toThrow(TypeError);
    expect(() => mknod('/tmp/a\0b', 0o10600, { major: 0, minor: 0 })).toThrow(TypeError);
  });

  test('extended attributes: absent, empty, long, listed, removed', async () => {
    await using folder = await tempFolder();
    const file = join(folder.path, 'file');
    writeFileSync(file, '');
    expect([lgetxattr(file, 'user.none'), llistxattr(file)]).toEqual([undefined, []]);
    lsetxattr(file, 'user.empty', new Uint8Array());
    lsetxattr(file, 'user.long', Buffer.alloc(1000, 7));
    expect(lgetxattr(file, 'user.empty')).toEqual(Buffer.alloc(0));
    expect(lgetxattr(file, 'user.long')).toEqual(Buffer.alloc(1000, 7));
    expect(llistxattr(file).toSorted()).toEqual(['user.empty', 'user.long']);
    lremovexattr(file, 'user.empty');
    expect(() => lremovexattr(file, 'user.empty')).toThrow(expect.objectContaining({ code: 'ENODATA' }));
  });

  test('makes FIFOs', async () => {
    await using folder = await tempFolder();
    const path = join(folder.path, 'fifo');
    mknod(path, 0o010_600, { major: 0, minor: 0 });
    expect(lstatSync(path).isFIFO()).toBe(true);
  });

  test('device numbers are read as the kernel packs them', () => {
    expect(deviceNumbers(0x103n)).toEqual({ major: 1, minor: 3 });
    expect(deviceNumbers(0x1111_2c70n)).toEqual({ major: 300, minor: 0x11170 });
  });

  test('a lock is not given twice, but shared ones are', async () => {
    await using folder = await tempFolder();
    const path = join(folder.path, 'lock');
    const [first, second] = [openSync(path, 'a'), openSync(path, 'a')];
    expect(flock(first, LOCK_EX | LOCK_NB)).toBe(true);
    expect(flock(second, LOCK_EX | LOCK_NB)).toBe(false);
    expect(flock(second, LOCK_SH | LOCK_NB)).toBe(false);
    expect(flock(first, LOCK_SH | LOCK_NB)).toBe(true);
    expect(flock(second, LOCK_SH | LOCK_NB)).toBe(true);
    closeSync(first);
    closeSync(second);
  });

  test('openat2 cannot leave its root', async () => {
    await using folder = await tempFolder();
    const root = join(folder.path, 'root');
    mkdirSync(join(root, 'etc'), { recursive: true });
    writeFileSync(join(root, 'etc/secret'), 'inside');
    symlinkSync('/etc/secret', join(root, 'absolute'));
    symlinkSync('../../../../etc/secret', join(root, 'dots'));
    symlinkSync(`/proc/self/cwd`, join(root, 'magic'));
    const fd = openSync(root, 'r');
    for (const path of ['absolute', 'dots', '/etc/secret', '../../etc/secret']) {
      const found = openat2(fd, path, { flags: 0 });
      expect(readlinkSync(`/proc/self/fd/${found}`), path).toBe(join(root, 'etc/secret'));
      closeSync(found);
    }
    expect(() => openat2(fd, 'magic', { flags: 0 })).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => openat2(fd, 'dots', { flags: 0, resolve: RESOLVE_BENEATH })).toThrow(
      expect.objectContaining({ code: 'EXDEV' }),
    );
    closeSync(fd);
  });
});
