import { mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { refuseStore, writeOutput } from '../export/output-file.ts';
import { requireSize } from '../export/to-store.ts';
import type { DocumentSource, DocumentTarget } from '../image/documents.ts';
import { rawDocument } from '../image/documents.ts';
import { dockerArchiveEntries } from '../image/docker-archive.ts';
import { readImageArchive, unpackLayout } from '../image/image-archive.ts';
import type { Image } from '../image/image.ts';
import { layoutDirectoryEntries, layoutSource, layoutTarget } from '../image/layout-directory.ts';
import { openImage } from '../image/open-image.ts';
import { writeTar } from '../image/tar.ts';
import type { Digest } from '../oci/digest.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import type { Reference } from '../oci/reference.ts';
import { openArchiveFile } from '../util/archive-file.ts';
import { BuildError } from '../util/build-error.ts';
import { inWords } from '../util/system-error.ts';
import { registrySource, registryTarget } from '../registry/copy.ts';
import type { Session } from './session.ts';
import { findStoreImage, nameFor } from './store-image.ts';

/** Where an image is. In a text: `[docker://]NAME`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`, `store:NAME`. */
export type Location =
  | { readonly kind: 'registry'; readonly reference: Reference }
  | { readonly kind: 'store'; readonly name: string }
  | {
      readonly kind: 'oci' | 'oci-archive' | 'docker-archive';
      readonly path: string;
      readonly name?: string | undefined;
      readonly digest?: Digest | undefined;
    };

/** Throws REFERENCE_INVALID, USAGE. */
export function parseLocation(text: string): Location {
  const [, kind, rest = ''] =
    /^(docker:\/\/|store:|oci:|oci-archive:|docker-archive:)(.*)$/s.exec(text) ?? [];
  if (kind === undefined) return { kind: 'registry', reference: namedReference(text) };
  if (kind === 'docker://') return { kind: 'registry', reference: parseReference(rest) };
  if (rest === '') {
    throw new BuildError('USAGE', `\`${text}\` names no ${kind === 'store:' ? 'image' : 'file'}`, {
      hint: `write ${kind}${kind === 'store:' ? 'NAME' : 'PATH[:TAG]'}`,
    });
  }
  if (kind === 'store:') return { kind: 'store', name: rest };
  if (kind === 'docker-archive:') {
    const colon = rest.indexOf(':');
    if (colon < 0) return { kind: 'docker-archive', path: rest };
    const name = formatReference(parseReference(rest.slice(colon + 1)));
    return { kind: 'docker-archive', path: rest.slice(0, colon), name };
  }
  const match = /^(.+?)(?:@(sha256:[a-f0-9]{64})|:(\w[\w.-]{0,127}))?$/s.exec(rest);
  return {
    kind: kind === 'oci:' ? 'oci' : 'oci-archive',
    path: match?.[1] ?? rest,
    name: match?.[3],
    digest: match?.[2] as Digest | undefined,
  };
}

/** What is neither a name nor one of the known places may be meant as a place: a file, or a misspelt kind. */
function namedReference(text: string): Reference {
  try {
    return parseReference(text);
  } catch (error) {
    const looksLikePlace = /^(?:\.{0,2}\/|[a-z-]+:)/.test(text) || /\.tar(?:\.\w+)?$/.test(text);
    throw error instanceof BuildError && looksLikePlace
      ? error.hinted(
          'a place is oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] or store:NAME',
        )
      : error;
  }
}

/** Opens a location for reading. Throws IMAGE_NOT_FOUND, IMAGE_INVALID; a registry is asked when something is read. */
export async function openSource(session: Session, location: Location): Promise<DocumentSource> {
  const { signal, store } = session;
  switch (location.kind) {
    case 'registry':
      return registrySource(await session.registry(), location.reference, signal);
    case 'store': {
      const { descriptor } = await findStoreImage(session, location.name);
      return { ...layoutSource(store.root, { descriptor }), name: `the store’s ${location.name}` };
    }
    case 'oci':
      return layoutSource(location.path, { name: location.name, digest: location.digest });
    case 'oci-archive': {
      const directory = await mkdtemp(join(await store.tempDir(), 'archive-'));
      await unpackLayout(openArchive(location.path, signal), directory);
      const { name, digest } = location;
      return { ...layoutSource(directory, { name, digest }), name: location.path };
    }
    case 'docker-archive':
      return imageSource(await fromDockerArchive(session, location), location.path);
    default:
      return location satisfies never;
  }
}

/** Opens a location for writing. `tags`: further ones, for a registry. Throws USAGE. */
export async function openTarget(session: Session, location: Location): Promise<DocumentTarget> {
  const { signal, store } = session;
  if ('digest' in location && location.digest !== undefined)
    throw new BuildError('USAGE', `${location.path} is written under a tag, not a digest`);
  if ('path' in location) refuseStore(location.path, store.root);
  switch (location.kind) {
    case 'registry':
      return registryTarget(await session.registry(), location.reference, signal);
    case 'store':
      return storeTarget(session, formatReference(parseReference(location.name)));
    case 'oci':
      return layoutTarget(location.path, location.name, signal);
    case 'oci-archive': {
      const directory = await mkdtemp(join(await store.tempDir(), 'archive-'));
      const layout = layoutTarget(directory, location.name, signal);
      return {
        ...layout,
        async finish(raw) {
          await layout.finish(raw);
          const blobs = await readdir(join(directory, 'blobs', 'sha256'));
          const entries = layoutDirectoryEntries(directory, blobs);
          await writeOutput({ file: location.path }, writeTar(entries), signal);
        },
      };
    }
    case 'docker-archive':
      return dockerArchiveTarget(session, location);
    default:
      return location satisfies never;
  }
}

function openArchive(path: string, signal: AbortSignal): Readable {
  try {
    return openArchiveFile(path, signal);
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    const [why, hint] = unreadable[code] ?? [`cannot be read: ${inWords(cause)}`];
    throw new BuildError('IMAGE_NOT_FOUND', `${path} ${why}`, { hint: hint?.replace('PATH', path), cause });
  }
}

const unreadable: Readonly<Record<string, readonly [why: string, hint?: string]>> = {
  ENOENT: ['does not exist'],
  EISDIR: ['is a directory, and an archive is expected', 'a layout is read with oci:PATH'],
  EFTYPE: ['is no ordinary file, and an archive is expected', 'a pipe is read as /dev/stdin'],
};

async function fromDockerArchive(
  { store, signal }: Session,
  { path, name }: { readonly path: string; readonly name?: string | undefined },
): Promise<Image> {
  const images = await readImageArchive(openArchive(path, signal), await store.tempDir());
  const found =
    name === undefined
      ? images
      : images.filter(({ names }) => names.some((each) => formatReference(parseReference(each)) === name));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only.image;
  const names = images.flatMap((image) => image.names).slice(0, 20);
  const why = only === undefined ? `no image ${name ?? ''}` : 'several images, and the name says not which';
  throw new BuildError('IMAGE_NOT_FOUND', `${path} has ${why}`, {
    hint: names.length === 0 ? undefined : `it has ${names.join(', ')}`,
  });
}

function imageSource(image: Image, name: string): DocumentSource {
  return {
    name,
    top: async () => rawDocument(await image.rawManifest(), await image.descriptor()),
    document: () => Promise.reject(new TypeError('one image has no further documents')),
    async *blob(descriptor, options) {
      const { config, layers } = await image.manifest();
      if (descriptor.digest === config.digest) yield await image.rawConfig();
      else {
        const layer = (await image.layers())[layers.findIndex(({ digest }) => digest === descriptor.digest)];
        if (layer === undefined) throw new TypeError(`no blob ${descriptor.digest}`);
        yield* layer.compressed(options);
      }
    },
  };
}

function storeTarget({ store, signal }: Session, name: string): DocumentTarget {
  const keep: DocumentTarget['document'] = async ({ bytes, descriptor }) => {
    if (!store.blobs.has(descriptor.digest)) await store.blobs.putBytes(bytes);
  };
  return {
    document: keep,
    async blob(descriptor, open) {
      const { digest, size } = descriptor;
      if (!store.blobs.has(digest)) await store.blobs.put(open({ signal }), { digest, size }, signal);
      requireSize(store, descriptor);
    },
    async finish(raw) {
      const canonical = nameFor(name, raw.descriptor.digest);
      await keep(raw);
      await store.images.tag(raw.descriptor, [canonical]);
    },
  };
}

/** The form of `docker save` has one image, and no place for an index: its blobs are kept until the archive is written. */
async function dockerArchiveTarget(
  { store, signal }: Session,
  { path, name }: { readonly path: string; readonly name?: string | undefined },
): Promise<DocumentTarget> {
  const directory = await mkdtemp(join(await store.tempDir(), 'archive-'));
  const layout = layoutTarget(directory, undefined, signal);
  return {
    ...layout,
    async finish(raw) {
      if (raw.document.kind === 'index') {
        throw new BuildError('USAGE', 'the form of docker save has one platform alone', {
          hint: 'choose one with --platform, or write an oci-archive',
        });
      }
      await layout.finish(raw);
      const source = layoutSource(directory, {});
      const image = openImage(raw.bytes, (descriptor) => source.blob(descriptor), raw.descriptor.mediaType);
      const entries = dockerArchiveEntries([{ image, names: name === undefined ? [] : [name] }]);
      await writeOutput({ file: path }, writeTar(entries), signal);
    },
  };
}
