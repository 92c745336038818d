import type { Entry } from '../../src/image/entry.ts';
import type { ByteStream } from '../../src/util/streams.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';

// Entries for tests, as short as they can be written.

const common = { mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 1_700_000_000_000_000_000n } as const;

export function dir(path: string, more: Partial<Entry> = {}): Entry {
  return { ...common, path, type: 'directory', ...more };
}

export function file(path: string, text = '', more: Partial<Entry> = {}): Entry {
  const bytes = Buffer.from(text);
  return {
    ...common,
    path,
    type: 'file',
    mode: 0o644,
    size: bytes.length,
    content: () => streamOf(bytes),
    ...more,
  };
}

export function symlink(path: string, linkTarget: string, more: Partial<Entry> = {}): Entry {
  return { ...common, path, type: 'symlink', mode: 0o777, linkTarget, ...more };
}

export function hardlink(path: string, linkTarget: string): Entry {
  return { ...common, path, type: 'hardlink', mode: 0o644, linkTarget };
}

export function whiteout(path: string): Entry {
  return { ...common, path, type: 'whiteout', mode: 0, mtime: 0n };
}

export function opaque(path: string): Entry {
  return { ...common, path, type: 'opaque', mode: 0, mtime: 0n };
}

export async function* streamOfEntries(...entries: readonly Entry[]): AsyncGenerator<Entry> {
  yield* entries;
}

/** Everything an entry says, its content as text. */
export async function described(entries: AsyncIterable<Entry>): Promise<Record<string, unknown>[]> {
  const all: Record<string, unknown>[] = [];
  for await (const { content, ...entry } of entries) {
    all.push({ ...entry, ...(entry.type === 'file' ? { text: await textOf(content?.()) } : {}) });
  }
  return all;
}

export async function textOf(bytes: ByteStream | undefined): Promise<string> {
  return bytes === undefined ? '' : (await readAll(bytes, 2 ** 30)).toString('latin1');
}

/** Path and type of each entry. */
export async function outline(entries: AsyncIterable<Entry>): Promise<string[]> {
  const all: string[] = [];
  for await (const { path, type, linkTarget } of entries) {
    all.push(`${type} ${path}${linkTarget === undefined ? '' : ` -> ${linkTarget}`}`);
  }
  return all;
}
