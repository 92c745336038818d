import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { configLimit, decodeConfig, decodeIndex, manifestLimit } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestHex } from '../oci/digest.ts';
import type { Compression } from '../oci/media-type.ts';
import { mediaType } from '../oci/media-type.ts';
import { hostPlatform } from '../oci/platform.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { fullDiskError } from '../store/store-error.ts';
import { BuildError } from '../util/build-error.ts';
import { makeDirectories } from '../util/make-directories.ts';
import type { ByteStream } from '../util/streams.ts';
import { decompress } from './compression.ts';
import { toLayer } from './derive.ts';
import type { Entry } from './entry.ts';
import { joinPath, normalizeEntryPath, parentPath } from './entry-path.ts';
import { fileContent } from './file-content.ts';
import { findImage, namesOf } from './find-image.ts';
import type { Layer } from './layer.ts';
import { imageOfConfig } from './mutate.ts';
import type { NamedImage } from './oci-layout.ts';
import { checkLayoutFile } from './oci-layout.ts';
import { selectPlatform } from './select-platform.ts';
import { readTar } from './tar.ts';
import { verified } from './verify.ts';

/**
 * Reads an archive of images: of `docker save` in its old or new form, or an OCI archive; also compressed as a whole. Its files are kept in
 * `tempDir`, under names of our own, until the caller removes that; layers are opened there. Of images with several platforms the one
 * for this host comes. Throws IMAGE_INVALID.
 */
export async function readImageArchive(bytes: ByteStream, tempDir: string): Promise<readonly NamedImage[]> {
  const files = await unpack(bytes, await mkdtemp(join(tempDir, 'archive-')));
  if (files.has('oci-layout') && files.has('index.json')) return readLayout(files);
  if (files.has('manifest.json')) return readDockerManifest(files);
  throw noImages('it has neither index.json nor manifest.json');
}

function noImages(why: string, cause?: unknown): BuildError {
  return new BuildError('IMAGE_INVALID', `this is no archive of images: ${why}`, {
    hint: 'such are made by `tsbuild save`, by `docker save`, or as an OCI archive',
    cause,
  });
}

/**
 * Unpacks an OCI archive, also one compressed as a whole, into `directory` as a layout: its index and its blobs, nothing else, and each
 * under the name of its digest. Bytes are verified by whoever reads them. Throws IMAGE_INVALID.
 */
export async function unpackLayout(bytes: ByteStream, directory: string): Promise<void> {
  const limits = { entries: 100_000, depth: 16 };
  makeDirectories(join(directory, 'blobs', 'sha256'));
  for await (const entry of readTar(await plain(bytes), { whiteouts: false, limits })) {
    const known = /^(?:oci-layout|index\.json|blobs\/sha256\/[a-f0-9]{64})$/.test(entry.path);
    if (entry.type !== 'file' || !known) continue;
    const path = join(directory, entry.path);
    // Of several of one name the last counts, as with tar.
    rmSync(path, { force: true });
    await keep(entry, path);
  }
}

/** Writes a file of an archive into the store's folder for what passes. Throws DISK_FULL, and what reading the archive throws. */
async function keep(entry: Entry, file: string): Promise<void> {
  try {
    // Whatever it becomes is written durably; this is read once and goes.
    await writeFile(file, entry.content?.() ?? '', { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw fullDiskError(error, 'unpacking the archive');
  }
}

/** Files on disk by their path in the archive. */
type Files = ReadonlyMap<string, string>;

async function unpack(bytes: ByteStream, directory: string): Promise<Files> {
  const files = new Map<string, string>();
  const links: [string, string][] = [];
  let count = 0;
  for await (const entry of entriesOf(bytes)) {
    if (entry.type === 'file') {
      const file = join(directory, String((count += 1)));
      await keep(entry, file);
      files.set(entry.path, file);
    } else if (entry.type === 'symlink') {
      links.push([entry.path, `${parentPath(entry.path)}/${entry.linkTarget}`]);
    } else if (entry.type === 'hardlink') {
      links.push([entry.path, entry.linkTarget ?? '']);
    }
  }
  // Old archives link equal layers to each other. A link only ever names a file of the archive.
  for (const [path, target] of links) {
    const file = files.get(lexical(target));
    if (file !== undefined) files.set(path, file);
  }
  return files;
}

/** What is wrong before the first entry is no archive, more likely than a damaged one. */
async function* entriesOf(bytes: ByteStream): AsyncGenerator<Entry> {
  const limits = { entries: 100_000, depth: 16 };
  let isArchive = false;
  try {
    for await (const entry of readTar(await plain(bytes), { whiteouts: false, limits })) {
      isArchive = true;
      yield entry;
    }
  } catch (error) {
    if (isArchive || !(error instanceof BuildError) || error.code !== 'IMAGE_INVALID') throw error;
    throw noImages(error.message, error);
  }
}

function lexical(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function compressionOf(start: Uint8Array): Compression {
  if (start[0] === 0x1f && start[1] === 0x8b) return 'gzip';
  return start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd ? 'zstd' : 'none';
}

async function plain(bytes: ByteStream): Promise<ByteStream> {
  const source = bytes[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  for (let size = 0; size < 4;) {
    const next = await source.next();
    if (next.done === true) break;
    first.push(next.value);
    size += next.value.length;
  }
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    yield* first;
    yield* { [Symbol.asyncIterator]: () => source };
  };
  return decompress(whole(), compressionOf(Buffer.concat(first)));
}

function small(files: Files, path: string, limit = manifestLimit): Uint8Array {
  const file = files.get(normalizeEntryPath(path));
  if (file === undefined) throw new BuildError('IMAGE_INVALID', `the archive has no ${path}`);
  const { size } = lstatSync(file);
  if (size > limit) throw new BuildError('IMAGE_INVALID', `${path} has ${size} bytes, more than ${limit}`);
  return readFileSync(file);
}

async function readLayout(files: Files): Promise<readonly NamedImage[]> {
  checkLayoutFile(small(files, 'oci-layout'));
  const { manifests } = decodeIndex(small(files, 'index.json'), mediaType.ociIndex);
  const open = ({ digest }: Descriptor): ByteStream => {
    const file = files.get(joinPath('blobs/sha256', digestHex(digest)));
    if (file === undefined) throw new BuildError('IMAGE_INVALID', `the archive has no blob ${digest}`);
    return verified(fileContent(file), { digest });
  };
  const tags = files.has('manifest.json') ? dockerNames(files) : undefined;
  const images = new Map<Digest, { image: NamedImage['image']; names: Set<string> }>();
  for (const group of groupByName(manifests)) {
    const descriptor = selectPlatform(group, hostPlatform()) ?? group[0];
    if (descriptor === undefined) continue;
    const image = await findImage([], { descriptor }, { open, name: 'the archive' });
    const found = images.get(await image.digest()) ?? { image, names: new Set<string>() };
    for (const name of fullNames(descriptor)) found.names.add(name);
    const config = (await image.manifest()).config.digest;
    for (const name of tags?.get(joinPath('blobs/sha256', digestHex(config))) ?? []) found.names.add(name);
    images.set(await image.digest(), found);
  }
  if (images.size === 0) throw new BuildError('IMAGE_INVALID', 'the archive has no image');
  return [...images.values()].map(({ image, names }) => ({ image, names: [...names] }));
}

/** Images of the same name are one image for several platforms; those without one stand for themselves. */
function groupByName(manifests: readonly Descriptor[]): Descriptor[][] {
  const isImage = ({ annotations }: Descriptor): boolean =>
    annotations?.['vnd.docker.reference.type'] === undefined;
  const groups = Map.groupBy(
    manifests.filter(isImage),
    (descriptor) => namesOf(descriptor)[0] ?? descriptor.digest,
  );
  return [...groups.values()];
}

/** Only whole names: a tag alone does not say of what. */
function fullNames(descriptor: Descriptor): string[] {
  return namesOf(descriptor).flatMap((name) => (/[/:]/.test(name) ? canonical(name) : []));
}

function canonical(name: string): string[] {
  try {
    return [formatReference(parseReference(name))];
  } catch (error) {
    if (error instanceof BuildError) return [];
    throw error;
  }
}

interface DockerImage {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

function dockerImages(files: Files): DockerImage[] {
  const malformed = new BuildError('IMAGE_INVALID', 'the manifest.json of the archive is malformed');
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(small(files, 'manifest.json')).toString());
  } catch (error) {
    throw error instanceof BuildError ? error : malformed;
  }
  if (!Array.isArray(parsed) || parsed.length > 1000) throw malformed;
  return parsed.map((item: unknown) => {
    const { Config: config, RepoTags: tags, Layers: layers } = (item ?? {}) as Record<string, unknown>;
    if (
      typeof config !== 'string' ||
      !isTexts(layers) ||
      !(tags === null || tags === undefined || isTexts(tags))
    ) {
      throw malformed;
    }
    return { config, tags: tags ?? [], layers };
  });
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= 4096 && value.every((item) => typeof item === 'string');
}

function dockerNames(files: Files): Map<string, string[]> {
  return new Map(dockerImages(files).map(({ config, tags }) => [lexical(config), tags.flatMap(canonical)]));
}

async function readDockerManifest(files: Files): Promise<readonly NamedImage[]> {
  const images: NamedImage[] = [];
  for (const { config: configPath, tags, layers: paths } of dockerImages(files)) {
    const rawConfig = small(files, configPath, configLimit);
    const config = decodeConfig(rawConfig);
    const diffIds = config.rootfs.diff_ids;
    if (diffIds.length !== paths.length) {
      throw new BuildError(
        'IMAGE_INVALID',
        `an image of the archive has ${paths.length} layers and ${diffIds.length} diff_ids`,
      );
    }
    const layers: Layer[] = [];
    for (const [at, path] of paths.entries()) layers.push(await layerOf(files, path, diffIds[at] as Digest));
    const image = await imageOfConfig(rawConfig, { config, layers, mediaTypes: 'oci' });
    images.push({ image, names: tags.flatMap(canonical) });
  }
  return images;
}

/** A layer file: a tar, mostly; some tools compress it. */
async function layerOf(files: Files, path: string, diffId: Digest): Promise<Layer> {
  const file = files.get(normalizeEntryPath(path));
  if (file === undefined) throw new BuildError('IMAGE_INVALID', `the archive has no ${path}`);
  const hash = createHash('sha256');
  let start: Uint8Array | undefined;
  let size = 0;
  for await (const chunk of fileContent(file)) {
    start ??= chunk;
    size += chunk.length;
    hash.update(chunk);
  }
  const compression = compressionOf(start ?? new Uint8Array());
  if (compression === 'none') return toLayer({ kind: 'uncompressed', diffId, open: () => fileContent(file) });
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  const type = compression === 'gzip' ? mediaType.ociLayerGzip : mediaType.ociLayerZstd;
  return toLayer({
    kind: 'compressed',
    descriptor: { mediaType: type, digest, size },
    diffId,
    open: () => fileContent(file),
  });
}
