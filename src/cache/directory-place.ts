import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openBlob, layoutFile, readLayoutIndex, replaceFile } from '../image/oci-layout.ts';
import { decodeDocument, manifestLimit } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestHex, digestOf, isDigest } from '../oci/digest.ts';
import { isIndexType, isManifestType, mediaType } from '../oci/media-type.ts';
import { storeError } from '../store/store-error.ts';
import { lockFile } from '../store/lock.ts';
import { BuildError } from '../util/build-error.ts';
import { makeDirectories } from '../util/make-directories.ts';
import { readAll, streamOf } from '../util/streams.ts';
import type { CachePlace } from './place.ts';

export interface DirectoryPlace {
  readonly directory: string;
  readonly tag?: string | undefined;
  /** Instead of the tag; for reading. */
  readonly digest?: Digest | undefined;
  /** After writing, removes blobs that nothing in the directory names. */
  readonly reset?: boolean | undefined;
}

const refName = 'org.opencontainers.image.ref.name';

/** A cache in a directory, an OCI image layout (KB-3). Several processes may write to one. */
export function directoryPlace({ directory, tag = 'latest', digest, reset }: DirectoryPlace): CachePlace {
  const root = resolve(directory);
  const blobs = join(root, 'blobs', 'sha256');
  const pathOf = (blob: Digest): string => join(blobs, digestHex(blob));
  const isThere = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  const find = (): Descriptor | undefined =>
    readLayoutIndex(root).manifests.find((entry) =>
      digest === undefined ? entry.annotations?.[refName] === tag : entry.digest === digest,
    );
  return {
    name: `local cache ${directory}`,
    readManifest: async () => {
      const found = isThere(join(root, 'index.json')) ? find() : undefined;
      if (found === undefined) return undefined;
      const bytes = await readAll(openBlob(root, found.digest), manifestLimit);
      return { bytes, mediaType: found.mediaType };
    },
    openBlob: ({ digest: blob }) => openBlob(root, blob),
    keepBlob: (blob, { signal, onProgress }) =>
      attempt(directory, async () => {
        const path = pathOf(blob.digest);
        if (lstatSync(path, { throwIfNoEntry: false })?.size === blob.size) return;
        makeDirectories(blobs, 0o755);
        await replaceFile(path, blob.open(), signal);
        onProgress?.(blob.size);
      }),
    putManifest: ({ bytes, mediaType: type }, { signal }) =>
      attempt(directory, async () => {
        makeDirectories(blobs, 0o755);
        const name = digestOf(bytes);
        await replaceFile(pathOf(name), streamOf(bytes), signal);
        await using _ = await lockFile(join(root, '.lock'), { signal });
        const path = join(root, 'index.json');
        const others = isThere(path)
          ? readLayoutIndex(root).manifests.filter((entry) => entry.annotations?.[refName] !== tag)
          : [];
        const own = { mediaType: type, digest: name, size: bytes.length, annotations: { [refName]: tag } };
        const manifests = [...others, own];
        await replaceFile(join(root, 'oci-layout'), streamOf(layoutFile), signal);
        const index = { schemaVersion: 2, mediaType: mediaType.ociIndex, manifests };
        await replaceFile(path, streamOf(JSON.stringify(index)), signal);
        if (reset === true) await removeOthers(root, manifests);
      }),
  };
}

/** Removes blobs that no document of the layout names. Throws, and removes nothing, when one of them cannot be read. */
async function removeOthers(root: string, manifests: readonly Descriptor[]): Promise<void> {
  const named = new Set<string>();
  const waiting = [...manifests];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (named.has(next.digest)) continue;
    named.add(next.digest);
    if (!isIndexType(next.mediaType) && !isManifestType(next.mediaType)) continue;
    const document = decodeDocument(
      await readAll(openBlob(root, next.digest), manifestLimit),
      next.mediaType,
    );
    waiting.push(
      ...(document.kind === 'index'
        ? document.index.manifests
        : [document.manifest.config, ...document.manifest.layers]),
    );
  }
  const folder = join(root, 'blobs', 'sha256');
  for (const file of readdirSync(folder)) {
    const digest = `sha256:${file}`;
    if (isDigest(digest) && !named.has(digest)) rmSync(join(folder, file), { force: true });
  }
}

async function attempt(directory: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof BuildError || typeof (error as NodeJS.ErrnoException).syscall !== 'string')
      throw error;
    throw storeError(error, `writing the cache to ${directory}`);
  }
}
