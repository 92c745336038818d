import { randomUUID } from 'node:crypto';
import { accessSync, constants, lstatSync, readFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeIndex, manifestLimit } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestHex, parseDigest } from '../oci/digest.ts';
import type { Index } from '../oci/manifest.ts';
import { mediaType } from '../oci/media-type.ts';
import type { Platform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { promising, streamOf } from '../util/streams.ts';
import { inWords } from '../util/system-error.ts';
import type { Entry } from './entry.ts';
import { fileContent } from './file-content.ts';
import type { Image } from './image.ts';
import { findImage } from './find-image.ts';
import type { ImageQuery } from './find-image.ts';
import { assembleIndex } from './mutate.ts';
import { verified } from './verify.ts';
import { makeDirectories } from '../util/make-directories.ts';

/** An image with the names it goes by, each in full: `docker.io/library/app:1`. */
export interface NamedImage {
  readonly image: Image;
  readonly names: readonly string[];
}

/** Annotations by which tools find an image in an index: OCI image-spec, annotations.md; containerd. */
export const nameAnnotation = {
  refName: 'org.opencontainers.image.ref.name',
  imageName: 'io.containerd.image.name',
} as const;

export const layoutFile: string = '{"imageLayoutVersion":"1.0.0"}';

/**
 * Opens one image of an OCI image layout (OCI image-spec, image-layout.md) that others may have made: documents are limited, digests are
 * parsed, bytes verified. Layers are opened when they are read; one whose blob is not there fails then. Throws IMAGE_NOT_FOUND,
 * IMAGE_PLATFORM, IMAGE_INVALID.
 */
export async function openLayoutImage(directory: string, query: ImageQuery = {}): Promise<Image> {
  const source = {
    open: ({ digest }: Descriptor): ByteStream => openBlob(directory, digest),
    name: directory,
  };
  // The caller has the descriptor from somewhere: then it does not matter what index.json says.
  if (query.descriptor !== undefined) return findImage([], query, source);
  return findImage(readLayoutIndex(directory).manifests, query, source);
}

/** The index.json of a layout. Throws IMAGE_NOT_FOUND, IMAGE_INVALID. */
export function readLayoutIndex(directory: string): Index {
  checkLayoutFile(readSmall(join(directory, 'oci-layout'), directory));
  return decodeIndex(readSmall(join(directory, 'index.json'), directory), mediaType.ociIndex);
}

/** Throws IMAGE_INVALID unless the text is that of an `oci-layout` file of version 1. */
export function checkLayoutFile(bytes: Uint8Array): void {
  let version: unknown;
  try {
    version = (JSON.parse(Buffer.from(bytes).toString()) as { imageLayoutVersion?: unknown } | null)
      ?.imageLayoutVersion;
  } catch {
    version = undefined;
  }
  if (typeof version !== 'string' || !version.startsWith('1.')) {
    throw new BuildError('IMAGE_INVALID', 'the OCI image layout is of a version that cannot be read');
  }
}

function readSmall(path: string, directory: string): Uint8Array {
  try {
    const stat = lstatSync(path);
    if (stat.isFile() && stat.size <= manifestLimit) return readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw unreadable(path, cause);
    throw new BuildError('IMAGE_NOT_FOUND', `${directory} is no OCI image layout`, {
      hint: `it has no ${path}`,
      cause,
    });
  }
  throw new BuildError('IMAGE_INVALID', `${path} is no file of at most ${manifestLimit} bytes`);
}

function unreadable(path: string, cause: unknown): BuildError {
  return new BuildError('IMAGE_INVALID', `cannot read ${path}: ${inWords(cause)}`, {
    hint: 'make the OCI image layout readable, or name another one',
    cause,
  });
}

/** A blob of a layout, verified. Throws IMAGE_INVALID. */
export function openBlob(directory: string, digest: Digest): ByteStream {
  return promising(readBlob(directory, digest), digest);
}

async function* readBlob(directory: string, digest: Digest): AsyncGenerator<Uint8Array> {
  const path = join(directory, 'blobs', 'sha256', digestHex(parseDigest(digest)));
  try {
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === true) accessSync(path, constants.R_OK);
    else throw new BuildError('IMAGE_INVALID', `the blob ${digest} is missing from ${directory}`);
  } catch (error) {
    throw error instanceof BuildError ? error : unreadable(path, error);
  }
  yield* verified(fileContent(path), { digest });
}

/** The files of a layout that has these images, sorted; deterministic, all times the epoch. */
export async function* layoutEntries(
  images: readonly NamedImage[],
  more: readonly Entry[] = [],
): AsyncGenerator<Entry> {
  const blobs = await blobsOf(images);
  const index = assembleIndex(await indexMembers(images), { mediaTypes: 'oci' }).bytes;
  yield directoryOf('blobs');
  yield directoryOf('blobs/sha256');
  for (const digest of [...blobs.keys()].toSorted()) {
    const blob = blobs.get(digest);
    if (blob !== undefined)
      yield { ...file(`blobs/sha256/${digestHex(digest)}`, blob.size), content: blob.open };
  }
  yield fileOf('index.json', index);
  yield* more;
  yield fileOf('oci-layout', Buffer.from(layoutFile));
}

/** Writes images into a layout directory; other images that it has stay, names move. Blobs that are there are not written again. */
export async function writeLayout(
  directory: string,
  images: readonly NamedImage[],
  signal?: AbortSignal,
): Promise<void> {
  const blobDirectory = join(directory, 'blobs', 'sha256');
  makeDirectories(blobDirectory);
  for (const [digest, blob] of await blobsOf(images)) {
    const path = join(blobDirectory, digestHex(digest));
    if (lstatSync(path, { throwIfNoEntry: false })?.size !== blob.size)
      await replaceFile(path, blob.open(), signal);
  }
  await replaceFile(join(directory, 'oci-layout'), streamOf(layoutFile), signal);
  const indexPath = join(directory, 'index.json');
  const added = decodeIndex(assembleIndex(await indexMembers(images), { mediaTypes: 'oci' }).bytes);
  const index = mergeIndex(existingIndex(indexPath, directory), added);
  await replaceFile(indexPath, streamOf(JSON.stringify(index)), signal);
}

/** The index.json of a layout that is added to; undefined: there is none. Throws IMAGE_INVALID. */
export function existingIndex(path: string, directory: string): Index | undefined {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  return decodeIndex(readSmall(path, directory), mediaType.ociIndex);
}

function mergeIndex(old: Index | undefined, added: Index): Index {
  const key = ({ annotations, digest }: Descriptor): string =>
    annotations?.[nameAnnotation.imageName] ?? annotations?.[nameAnnotation.refName] ?? digest;
  const replaced = new Set(added.manifests.map(key));
  const kept = (old?.manifests ?? []).filter((descriptor) => !replaced.has(key(descriptor)));
  return { ...added, manifests: [...kept, ...added.manifests] };
}

/** Writes a file whole or not at all. */
export async function replaceFile(path: string, bytes: ByteStream, signal?: AbortSignal): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const handle = await open(temporary, 'wx', 0o644);
    try {
      for await (const chunk of bytes) {
        signal?.throwIfAborted();
        await handle.writeFile(chunk);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function indexMembers(images: readonly NamedImage[]): Promise<Parameters<typeof assembleIndex>[0]> {
  const members: { descriptor: Descriptor; platform: Platform; annotations?: Record<string, string> }[] = [];
  for (const { image, names } of images) {
    const descriptor = await image.descriptor();
    const { os, architecture, variant } = await image.config();
    const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    if (names.length === 0) members.push({ descriptor, platform });
    for (const name of names) members.push({ descriptor, platform, annotations: nameAnnotations(name) });
  }
  return members;
}

function nameAnnotations(name: string): Record<string, string> {
  const tag = /:([\w][\w.-]{0,127})$/.exec(name)?.[1];
  return {
    [nameAnnotation.imageName]: name,
    ...(tag === undefined ? {} : { [nameAnnotation.refName]: tag }),
  };
}

interface Blob {
  readonly size: number;
  readonly open: () => ByteStream;
}

async function blobsOf(images: readonly NamedImage[]): Promise<Map<Digest, Blob>> {
  const blobs = new Map<Digest, Blob>();
  for (const { image } of images) {
    const { digest, size } = await image.descriptor();
    const manifest = await image.manifest();
    const [rawManifest, rawConfig] = [await image.rawManifest(), await image.rawConfig()];
    blobs.set(digest, { size, open: () => streamOf(rawManifest) });
    blobs.set(manifest.config.digest, { size: manifest.config.size, open: () => streamOf(rawConfig) });
    const layers = await image.layers();
    for (const [at, layer] of layers.entries()) {
      const descriptor = manifest.layers[at];
      if (descriptor === undefined)
        throw new BuildError('IMAGE_INVALID', 'an image has more layers than its manifest');
      blobs.set(descriptor.digest, { size: descriptor.size, open: () => layer.compressed() });
    }
  }
  return blobs;
}

export function directoryOf(path: string): Entry {
  return { path, type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0n };
}

export function file(path: string, size: number): Entry {
  return { path, type: 'file', mode: 0o644, uid: 0, gid: 0, size, mtime: 0n };
}

/** A small file of an archive. */
export function fileOf(path: string, bytes: Uint8Array): Entry {
  return { ...file(path, bytes.length), content: () => streamOf(bytes) };
}
