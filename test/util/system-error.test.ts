import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BuildError } from '../../src/util/build-error.ts';
import { inWords, outputError, machineError, writeError } from '../../src/util/system-error.ts';

function errorOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

test('what the system says is told without the call and the path', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tsbuild-errors-'));
  try {
    const file = join(folder, 'f');
    writeFileSync(file, '');
    expect(inWords(errorOf(() => readFileSync(join(folder, 'no'))))).toBe('no such file or directory');
    expect(inWords(errorOf(() => readFileSync(folder)))).toBe('it is a directory');
    expect(inWords(errorOf(() => readFileSync(join(file, 'x'))))).toBe('a part of its path is no directory');
    expect(inWords(new Error('as it is'))).toBe('as it is');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a file that cannot be written is an error with a code, a hint and its cause', () => {
  const missing = Object.assign(new Error('ENOENT: x'), { code: 'ENOENT' });
  expect(writeError('`/a/b`', missing)).toMatchObject({
    code: 'OUTPUT_FAILED',
    message: 'cannot write `/a/b`: no such file or directory',
    hint: expect.stringContaining('make its directory first'),
    cause: missing,
  });
  const existing = Object.assign(new Error("EEXIST: file already exists, mkdir '/a/b'"), { code: 'EEXIST' });
  expect(outputError(existing, '/a/b')).toMatchObject({
    message: 'cannot write /a/b: there is a file of this name',
    hint: 'choose another destination',
  });
  expect(outputError(new Error('other'), '/a/b')).toEqual(new Error('other'));
  const full = Object.assign(new Error('ENOSPC: x'), { code: 'ENOSPC' });
  expect(writeError('`/a/b`', full)).toMatchObject({ code: 'DISK_FULL', hint: expect.any(String) });
});

test('what nobody has said more about is a full disk, where a call of Node’s wrote', () => {
  const failed = (call: object): Error => Object.assign(new Error('ENOSPC: no space left on device'), call);
  expect(machineError(failed({ code: 'ENOSPC', syscall: 'write' }))).toMatchObject({
    code: 'DISK_FULL',
    message: 'no space left on a disk that is written to',
    hint: expect.stringContaining('TMPDIR'),
  });
  expect(machineError(failed({ code: 'EDQUOT', syscall: 'mkdir', path: '/a' }))).toMatchObject({
    code: 'DISK_FULL',
    message: 'no space left while writing `/a`',
  });
  for (const other of [
    failed({ code: 'ENOSPC', syscall: 'mount' }),
    failed({ code: 'EIO', syscall: 'write' }),
    new BuildError('USAGE', 'x'),
    'ENOSPC',
    undefined,
  ])
    expect(machineError(other)).toBe(other);
});

test.each([
  ['EMFILE', 'spawn git', 'ulimit -n'],
  ['EMFILE', 'connect', 'ulimit -n'],
  ['ENFILE', 'open', 'fs.file-max'],
  ['EAGAIN', 'spawn', 'ulimit -u'],
  ['EAGAIN', 'fork', 'ulimit -u'],
  ['ENOMEM', 'mmap', 'memory|container'],
  ['EFBIG', 'write', 'ulimit -f'],
  ['ERR_WORKER_INIT_FAILED', undefined, 'ulimit -u'],
])('what this process has run out of is told with what helps: %s of %s', (code, syscall, hint) => {
  const cause = Object.assign(new Error(code), { code, syscall });
  expect(machineError(cause)).toMatchObject({
    code: 'UNSUPPORTED_HERE',
    hint: expect.stringMatching(hint),
    cause,
  });
});

test('what is to be tried again, or too large to be read, is no lack of anything', () => {
  for (const [code, syscall] of [
    ['EAGAIN', 'read'],
    ['EFBIG', 'open'],
    ['ENOENT', 'spawn git'],
    ['constructor', 'write'],
  ]) {
    const error = Object.assign(new Error(code), { code, syscall });
    expect(machineError(error)).toBe(error);
  }
});
