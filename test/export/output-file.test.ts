import { execFileSync, spawn } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { ExportResult } from '../../src/export/exporter.ts';
import { refuseStore, writeOutput } from '../../src/export/output-file.ts';
import { layoutExporter } from '../../src/export/to-layout.ts';
import { tempFolder } from '../support/temp.ts';

const { signal } = new AbortController();

async function* bytes(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

test('a file appears whole, in folders that are made', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'a/b/out.tar');
  await writeOutput({ file }, bytes('one', 'two'), signal);
  expect(readFileSync(file, 'utf8')).toBe('onetwo');
});

test('what fails half way leaves what was there, and nothing beside it', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'out');
  writeFileSync(file, 'before');
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half');
    throw new Error('gone');
  }
  await expect(writeOutput({ file }, failing(), signal)).rejects.toThrow('gone');
  expect(readdirSync(folder.path)).toEqual(['out']);
  expect(readFileSync(file, 'utf8')).toBe('before');
});

test('a link stays a link, and its file is replaced', async () => {
  await using folder = await tempFolder();
  writeFileSync(join(folder.path, 'real'), 'a longer text than the new one');
  symlinkSync('real', join(folder.path, 'link'));
  await writeOutput({ file: join(folder.path, 'link') }, bytes('new'), signal);
  expect(lstatSync(join(folder.path, 'link')).isSymbolicLink()).toBe(true);
  expect(readFileSync(join(folder.path, 'real'), 'utf8')).toBe('new');
});

test('a pipe is written to, and stays a pipe', async () => {
  await using folder = await tempFolder();
  const file = join(folder.path, 'pipe');
  execFileSync('mkfifo', [file]);
  const reader = spawn('cat', [file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const read = text(reader.stdout);
  await writeOutput({ file }, bytes('through'), signal);
  expect(await read).toBe('through');
  expect(lstatSync(file).isFIFO()).toBe(true);
});

test('a device is written to, and stays a device', async () => {
  const before = lstatSync('/dev/full');
  await expect(writeOutput({ file: '/dev/full' }, bytes('x'), signal)).rejects.toMatchObject({
    code: 'DISK_FULL',
  });
  await writeOutput({ file: '/dev/null' }, bytes('x'), signal);
  expect(lstatSync('/dev/full')).toMatchObject({ rdev: before.rdev, ino: before.ino });
  await expect(writeOutput({ file: '/dev/nosuch' }, bytes('x'), signal)).rejects.toMatchObject({
    code: 'OUTPUT_FAILED',
  });
});

test('a directory is refused', async () => {
  await using folder = await tempFolder();
  await expect(writeOutput({ file: folder.path }, bytes('x'), signal)).rejects.toMatchObject({
    code: 'OUTPUT_FAILED',
  });
});

test('a stream that cannot be written is told with a code', async () => {
  const stream = new Writable({
    write: (_chunk, _encoding, done) => done(Object.assign(new Error('full'), { code: 'ENOSPC' })),
  });
  await expect(writeOutput({ stream }, bytes('x'), signal)).rejects.toMatchObject({ code: 'DISK_FULL' });
});

test('the store is no destination, by whatever name', async () => {
  await using folder = await tempFolder();
  const store = join(folder.path, 'store');
  execFileSync('mkdir', ['-p', store]);
  symlinkSync('store', join(folder.path, 'alias'));
  for (const path of ['store', 'store/new/file', 'alias/index.json', 'x/../store'])
    expect(() => refuseStore(join(folder.path, path), store), path).toThrow('in the store');
  expect(() => refuseStore(join(folder.path, 'stored'), store)).not.toThrow();
});

test('a layout that could not be written is not begun', async () => {
  await using folder = await tempFolder();
  const failing = {
    descriptor: () => Promise.reject(new Error('gone')),
    layers: () => Promise.reject(new Error('gone')),
  };
  const result = {
    images: [{ platform: { os: 'linux', architecture: 'amd64' }, image: failing, layers: [] }],
  };
  const exporter = layoutExporter(join(folder.path, 'new'));
  const context = { names: [], id: 'x', signal, emit: () => undefined };
  await expect(exporter.export(result as unknown as ExportResult, context)).rejects.toThrow();
  expect(readdirSync(folder.path)).toEqual([]);
});
