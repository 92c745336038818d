import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { manifestLimit } from '../oci/decode.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestHex } from '../oci/digest.ts';
import type { Index } from '../oci/manifest.ts';
import { mediaType } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import { makeDirectories } from '../util/make-directories.ts';
import { outputError } from '../util/system-error.ts';
import { readAll, streamOf } from '../util/streams.ts';
import type { DocumentSource, DocumentTarget } from './documents.ts';
import { rawDocument } from './documents.ts';
import type { Entry } from './entry.ts';
import { fileContent } from './file-content.ts';
import { chooseDescriptor } from './find-image.ts';
import type { ImageQuery } from './find-image.ts';
import {
  directoryOf,
  existingIndex,
  file,
  layoutFile,
  nameAnnotation,
  openBlob,
  readLayoutIndex,
  replaceFile,
} from './oci-layout.ts';
import { verified } from './verify.ts';

/** An OCI image layout that is read from. Throws IMAGE_NOT_FOUND, IMAGE_INVALID. */
export function layoutSource(directory: string, query: ImageQuery): DocumentSource {
  const document: DocumentSource['document'] = async (descriptor) => {
    if (descriptor.size > manifestLimit)
      throw new BuildError('IMAGE_INVALID', `${descriptor.digest} is too large for a manifest`);
    const bytes = await readAll(openBlob(directory, descriptor.digest), manifestLimit);
    return rawDocument(bytes, { ...descriptor, size: bytes.length });
  };
  return {
    name: directory,
    top: async () => {
      const top =
        query.descriptor ?? chooseDescriptor(readLayoutIndex(directory).manifests, query, directory);
      // What its entry says of names is the layout's.
      const { mediaType: type, digest, size } = top;
      return document({ mediaType: type, digest, size });
    },
    document,
    blob: (descriptor) => verified(openBlob(directory, descriptor.digest), descriptor),
  };
}

/**
 * An OCI image layout that is written into, and made where there is none. Other images that it has stay; the name moves. Throws DISK_FULL,
 * OUTPUT_FAILED.
 */
export function layoutTarget(
  directory: string,
  name: string | undefined,
  signal: AbortSignal,
): DocumentTarget {
  const place = ({ digest }: Descriptor): string => join(directory, 'blobs', 'sha256', digestHex(digest));
  const told =
    <Args extends readonly unknown[]>(work: (...args: Args) => Promise<void>) =>
    async (...args: Args): Promise<void> => {
      try {
        makeDirectories(join(directory, 'blobs', 'sha256'));
        await work(...args);
      } catch (error) {
        throw outputError(error, directory);
      }
    };
  const write: DocumentTarget['document'] = ({ bytes, descriptor }) =>
    replaceFile(place(descriptor), streamOf(bytes), signal);
  return {
    document: told(write),
    blob: told<Parameters<DocumentTarget['blob']>>(async (descriptor, open) => {
      if (lstatSync(place(descriptor), { throwIfNoEntry: false })?.size === descriptor.size) return;
      await replaceFile(place(descriptor), open({}), signal);
    }),
    finish: told<Parameters<DocumentTarget['finish']>>(async (raw) => {
      await write(raw);
      await replaceFile(join(directory, 'oci-layout'), streamOf(layoutFile), signal);
      const path = join(directory, 'index.json');
      const old: Index = existingIndex(path, directory) ?? {
        schemaVersion: 2,
        mediaType: mediaType.ociIndex,
        manifests: [],
      };
      const { mediaType: type, digest, size } = raw.descriptor;
      const entry: Descriptor = {
        ...{ mediaType: type, digest, size },
        ...(name === undefined ? {} : { annotations: { [nameAnnotation.refName]: name } }),
      };
      const kept = old.manifests.filter((item) =>
        name === undefined
          ? item.digest !== digest || item.annotations?.[nameAnnotation.refName] !== undefined
          : item.annotations?.[nameAnnotation.refName] !== name,
      );
      const index: Index = { ...old, manifests: [...kept, entry] };
      await replaceFile(path, streamOf(JSON.stringify(index)), signal);
    }),
  };
}

/** The files of a layout directory as an archive has them, sorted, all times the epoch. `blobs`: their names. */
export async function* layoutDirectoryEntries(
  directory: string,
  blobs: readonly string[],
): AsyncGenerator<Entry> {
  yield directoryOf('blobs');
  yield directoryOf('blobs/sha256');
  for (const path of [
    ...blobs.map((name) => `blobs/sha256/${name}`).toSorted(),
    'index.json',
    'oci-layout',
  ]) {
    const full = join(directory, path);
    yield { ...file(path, lstatSync(full).size), content: () => fileContent(full) };
  }
}
