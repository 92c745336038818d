import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { mappedIds } from '../host/probe.ts';
import type { Digest } from '../oci/digest.ts';
import { overlayDiff } from './diff.ts';
import { fileContent } from './file-content.ts';
import type { IndexedEntry, LayerIndex } from './layer-index.ts';
import { decodeIndex, isOtherVersion } from './layer-index.ts';
import { ownFiles } from './layer-tree.ts';
import { onDisk } from './stored-layer.ts';
import { writeTar } from './tar.ts';
import { verified } from './verify.ts';

/** A form of a layer that is not what it should be. */
export interface LayerDamage {
  /** In the layer's directory; it and what depends on it must go. */
  readonly form: string;
  readonly message: string;
}

/**
 * Reads all forms of a layer, `layers/<hex>/`, and tells which do not give the layer's own bytes. An unpacked tree that another tool's tar was
 * the source of is compared with the list of what it should have. Trees of other ids, which this process may not read, are left out.
 */
export async function* checkLayer(
  home: string,
  diffId: Digest,
  signal?: AbortSignal,
): AsyncGenerator<LayerDamage> {
  const names = readdirSync(home);
  if (names.includes('tar')) {
    const message = await failure(
      drain(verified(fileContent(join(home, 'tar')), { digest: diffId }), signal),
    );
    if (message !== undefined) yield { form: 'tar', message };
  }
  let index: LayerIndex | undefined;
  if (names.includes('index.json')) {
    const text = readFileSync(join(home, 'index.json'), 'utf8');
    index = decodeIndex(text);
    if (index === undefined && !isOtherVersion(text))
      yield { form: 'index.json', message: 'the list of its files is damaged' };
  }
  const ids = mappedIds();
  for (const name of names.filter((candidate) => /^fs(?:-[^.]*)?$/.test(candidate))) {
    const tree = join(home, name);
    const isOwn = name === (ids === undefined ? 'fs' : `fs-${ids}`);
    const isCanonical = isOwn && existsSync(join(home, name.replace('fs', 'canonical')));
    const message = isCanonical
      ? await failure(drain(verified(writeTar(overlayDiff(tree)), { digest: diffId }), signal))
      : index === undefined
        ? undefined
        : await treeDamage(tree, index, signal);
    if (message !== undefined) yield { form: name, message };
  }
}

async function treeDamage(
  tree: string,
  index: LayerIndex,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  for (const file of ownFiles(index)) {
    signal?.throwIfAborted();
    const message = await fileDamage(tree, file, signal);
    if (message !== undefined) return message;
  }
  return undefined;
}

async function fileDamage(
  tree: string,
  [path, { entry, digest }]: readonly [string, IndexedEntry],
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const { type, size, linkTarget } = entry;
  if (!['file', 'directory', 'symlink'].includes(type)) return undefined;
  try {
    const place = onDisk(tree, path);
    const stat = lstatSync(place);
    const found = stat.isFile()
      ? 'file'
      : stat.isDirectory()
        ? 'directory'
        : stat.isSymbolicLink()
          ? 'symlink'
          : '';
    // Where owners are only written down, other kinds of files are plain ones.
    if (found !== type) return `/${path} is no ${type}`;
    if (type === 'symlink' && readlinkSync(place) !== linkTarget) return `/${path} leads elsewhere`;
    if (type !== 'file' || digest === undefined) return undefined;
    if (stat.size !== size) return `/${path} has ${stat.size} bytes and should have ${size}`;
    return size === 0
      ? undefined
      : await failure(
          drain(verified(fileContent(place, { start: 0, size }), { digest, size }), signal),
          `/${path}: `,
        );
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Of other ids: nobody but them can tell.
    if (code === 'EACCES' || code === 'EPERM') return undefined;
    return `/${path}: ${(error as Error).message}`;
  }
}

async function drain(stream: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<void> {
  for await (const chunk of stream) {
    void chunk;
    signal?.throwIfAborted();
  }
}

async function failure(work: Promise<void>, prefix = ''): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    if (name === 'AbortError' || code === 'EACCES' || code === 'EPERM') {
      if (name === 'AbortError') throw error;
      return undefined;
    }
    return `${prefix}${(error as Error).message}`;
  }
}
