import { readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Index, Manifest } from '../oci/manifest.ts';
import { isIndexType, isManifestType, mediaType } from '../oci/media-type.ts';
import { isDigest } from '../oci/digest.ts';
import { familiarReference, formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import { canonicalJson } from '../util/canonical-json.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { BlobStore } from './blob-store.ts';
import { lockFile } from './lock.ts';
import { storeError } from './store-error.ts';

/** An image of the store. The descriptor is that of its manifest or index, without the annotations that hold the name. */
export interface NamedImage {
  /** Full form, `docker.io/library/busybox:latest`; undefined: its name has moved on to another image. */
  readonly name: string | undefined;
  readonly descriptor: Descriptor;
}

/**
 * The names of the images of a store: its index.json (OCI image-spec, image-layout.md), one entry per name. Names are given in any form that
 * `parseReference` reads. `org.opencontainers.image.ref.name` has the form people write (`busybox:latest`), which is what skopeo and podman
 * compare with the text after `oci:<root>:`; `io.containerd.image.name` has the full form.
 */
export interface ImageStore {
  /** In the order in which they were added. */
  list(): Promise<readonly NamedImage[]>;
  find(name: string): Promise<Descriptor | undefined>;
  /**
   * Gives names to an image whose blobs are all in the store (else STORE_FAILED); without names it is kept by its digest. An image that
   * loses its last name this way is kept by its digest too. Writes nothing when all is as asked.
   */
  tag(descriptor: Descriptor, names: string | readonly string[]): Promise<void>;
  /** Takes a name away, or with a digest all entries of it. Returns what was there; blobs stay until they are swept. */
  remove(nameOrDigest: string): Promise<readonly NamedImage[]>;
}

const refName = 'org.opencontainers.image.ref.name';
const fullName = 'io.containerd.image.name';
const manifestLimit = 8 * 1024 * 1024;

export const emptyIndex: Index = { schemaVersion: 2, mediaType: mediaType.ociIndex, manifests: [] };

export function openImageStore(root: string, blobs: BlobStore, tempDir: () => Promise<string>): ImageStore {
  const update = async (
    change: (entries: readonly Descriptor[]) => Promise<readonly Descriptor[]>,
  ): Promise<void> => {
    await withStoreLock(root, async () => {
      const index = readIndex(root);
      const manifests = await change(index.manifests);
      if (manifests === index.manifests) return;
      await writeIndex(root, { ...index, manifests }, await tempDir());
    });
  };
  return {
    list: () => attempt(() => readIndex(root).manifests.map(toNamedImage)),
    find: (name) =>
      attempt(() => {
        const wanted = normalName(name);
        return readIndex(root)
          .manifests.map(toNamedImage)
          .find((image) => image.name === wanted)?.descriptor;
      }),
    tag: async (descriptor, names) => {
      const list = [...new Set([names].flat().map(normalName))];
      const bare = withoutName(descriptor);
      if (retagged(readIndex(root).manifests, bare, list) === undefined) return;
      await update(async (entries) => {
        const changed = retagged(entries, bare, list);
        if (changed === undefined) return entries;
        await requireBlobs(blobs, bare, 0);
        return changed;
      });
    },
    remove: async (nameOrDigest) => {
      const wanted = isDigest(nameOrDigest) ? nameOrDigest : normalName(nameOrDigest);
      const isMeant = (entry: Descriptor): boolean => entry.digest === wanted || nameOf(entry) === wanted;
      let removed: readonly NamedImage[] = [];
      await update((entries) => {
        removed = entries.filter(isMeant).map(toNamedImage);
        return Promise.resolve(removed.length === 0 ? entries : entries.filter((entry) => !isMeant(entry)));
      });
      return removed;
    },
  };
}

/** Does something under the lock under which index.json changes and blobs are swept; for moments only. */
export async function withStoreLock<T>(root: string, work: () => Promise<T>): Promise<T> {
  const lock = await lockFile(join(root, 'lock'));
  try {
    return await work();
  } finally {
    lock.release();
  }
}

// oxlint-disable-next-line typescript/promise-function-async -- an error becomes a rejection
function attempt<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(work()));
}

/** Reads index.json; a missing or empty one (a crash while the store was made) has no images. Throws STORE_FAILED. */
export function readIndex(root: string): Index {
  const path = join(root, 'index.json');
  try {
    const text = readFileSync(path, 'utf8');
    if (text === '') return emptyIndex;
    const index = JSON.parse(text) as Partial<Index> | null;
    const manifests: unknown = index?.manifests;
    if (!Array.isArray(manifests) || !manifests.every(isDescriptor))
      throw new TypeError('it is no image index');
    return { ...index, schemaVersion: 2, manifests };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return emptyIndex;
    if (error instanceof SyntaxError || error instanceof TypeError)
      throw new BuildError('STORE_FAILED', `${path} is damaged: ${error.message}`, {
        hint: '`tsbuild store check --repair` makes it anew from the images that are there; their names are lost',
        cause: error,
      });
    throw storeError(error, `reading ${path}`);
  }
}

function isDescriptor(value: unknown): value is Descriptor {
  const { digest, mediaType: type, size } = (value ?? {}) as Partial<Descriptor>;
  return (
    typeof digest === 'string' && isDigest(digest) && typeof type === 'string' && typeof size === 'number'
  );
}

async function writeIndex(root: string, index: Index, tempDir: string): Promise<void> {
  const temporary = join(tempDir, `index-${process.hrtime.bigint()}.json`);
  try {
    // Names of blobs reach the disk before an index that refers to them.
    await using directory = await open(join(root, 'blobs', 'sha256'), 'r');
    await directory.sync();
    {
      await using file = await open(temporary, 'wx', 0o644);
      await file.writeFile(`${JSON.stringify(index)}\n`);
      await file.datasync();
    }
    await rename(temporary, join(root, 'index.json'));
  } catch (error) {
    throw storeError(error, 'writing the names of images');
  }
}

/** The entries after `descriptor` got the names; undefined when they are so already. */
function retagged(
  entries: readonly Descriptor[],
  descriptor: Descriptor,
  names: readonly string[],
): readonly Descriptor[] | undefined {
  const wanted = names.length === 0 ? [descriptor] : names.map((name) => withName(descriptor, name));
  const texts = new Set(entries.map((entry) => canonicalJson(entry as unknown as JsonValue)));
  if (wanted.every((entry) => texts.has(canonicalJson(entry as unknown as JsonValue)))) return undefined;
  const isNamed = (digest: string): boolean =>
    kept.some((entry) => entry.digest === digest && nameOf(entry) !== undefined);
  const kept = entries.filter((entry) => !names.includes(nameOf(entry) ?? ''));
  if (names.length === 0 && isNamed(descriptor.digest)) return undefined;
  // Images whose names have all moved to this one stay, by their digest.
  const orphans = entries
    .filter((entry) => names.includes(nameOf(entry) ?? '') && entry.digest !== descriptor.digest)
    .filter((entry, position, all) => all.findIndex(({ digest }) => digest === entry.digest) === position)
    .filter((entry) => !kept.some(({ digest }) => digest === entry.digest))
    .map(withoutName);
  return [
    ...kept.filter((entry) => entry.digest !== descriptor.digest || nameOf(entry) !== undefined),
    ...orphans,
    ...wanted,
  ];
}

function withName(descriptor: Descriptor, name: string): Descriptor {
  return {
    ...descriptor,
    annotations: { ...descriptor.annotations, [fullName]: name, [refName]: familiarName(name) },
  };
}

function withoutName(descriptor: Descriptor): Descriptor {
  const { annotations, ...rest } = descriptor;
  const others = Object.entries(annotations ?? {}).filter(([key]) => key !== fullName && key !== refName);
  return others.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(others) };
}

/** Other programs write ref.name alone. */
function nameOf(entry: Descriptor): string | undefined {
  const name = entry.annotations?.[fullName] ?? entry.annotations?.[refName];
  return name === undefined ? undefined : normalName(name);
}

function toNamedImage(entry: Descriptor): NamedImage {
  return { name: nameOf(entry), descriptor: withoutName(entry) };
}

/** What is no reference (skopeo takes any word as a name) is its own normal form. */
function normalName(name: string): string {
  try {
    return formatReference(parseReference(name));
  } catch {
    return name;
  }
}

function familiarName(name: string): string {
  try {
    return familiarReference(parseReference(name));
  } catch {
    return name;
  }
}

/** An index may lack variants that nobody asked for; what is there must be whole. */
async function requireBlobs(blobs: BlobStore, descriptor: Descriptor, depth: number): Promise<void> {
  if (!blobs.has(descriptor.digest)) throw incomplete(descriptor);
  const isIndex = isIndexType(descriptor.mediaType);
  if ((!isIndex && !isManifestType(descriptor.mediaType)) || depth > 4) return;
  const text = Buffer.from(await blobs.read(descriptor.digest, manifestLimit)).toString();
  const parsed = JSON.parse(text) as Partial<Index> & Partial<Manifest>;
  for (const child of isIndex ? (parsed.manifests ?? []) : []) {
    if (blobs.has(child.digest)) await requireBlobs(blobs, child, depth + 1);
  }
  for (const blob of isIndex ? [] : [parsed.config, ...(parsed.layers ?? [])]) {
    if (blob !== undefined && blob.urls === undefined && !blobs.has(blob.digest)) throw incomplete(blob);
  }
}

function incomplete(descriptor: Descriptor): BuildError {
  return new BuildError('STORE_FAILED', `the store has no blob ${descriptor.digest}, which the image needs`, {
    hint: 'another command may have removed it meanwhile: run this one again',
  });
}
