import { digestHex } from '../oci/digest.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';
import type { Entry } from './entry.ts';
import type { NamedImage } from './oci-layout.ts';
import { fileOf, layoutEntries } from './oci-layout.ts';

export { readImageArchive } from './image-archive.ts';

/**
 * The files of a `docker save` archive, sorted; deterministic. It is an OCI image layout with a `manifest.json` beside, so
 * both kinds of readers take it. Layers stay compressed: docker and podman unpack them.
 */
export async function* dockerArchiveEntries(images: readonly NamedImage[]): AsyncGenerator<Entry> {
  const listed: unknown[] = [];
  for (const { image, names } of images) {
    const manifest = await image.manifest();
    listed.push({
      Config: `blobs/sha256/${digestHex(manifest.config.digest)}`,
      RepoTags: names.flatMap(repoTag),
      Layers: manifest.layers.map(({ digest }) => `blobs/sha256/${digestHex(digest)}`),
    });
  }
  yield* layoutEntries(images, [fileOf('manifest.json', Buffer.from(JSON.stringify(listed)))]);
}

/** As docker writes names there: short, always with a tag. */
function repoTag(name: string): string[] {
  const { digest: _, ...reference } = parseReference(name);
  return reference.tag === undefined ? [] : [familiarReference(reference)];
}
