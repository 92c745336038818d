import type { Image } from '../image/image.ts';
import { openLayoutImage } from '../image/oci-layout.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isDigest } from '../oci/digest.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { Session } from './session.ts';

/** Something that the local store has, be it whole or not. */
export interface StoreEntry {
  readonly descriptor: Descriptor;
  /** The canonical name it was found by, if it was by name. */
  readonly name: string | undefined;
}

/** An image of the local store. */
export interface StoreImage extends StoreEntry {
  readonly image: Image;
}

/** Finds an image by name, by digest, or by the start (12 digits or more) of its digest or id. Errors: IMAGE_NOT_FOUND, IMAGE_INVALID. */
export async function findStoreImage(session: Session, text: string): Promise<StoreImage> {
  const entry = await findStoreEntry(session, text);
  return { ...entry, image: await openLayoutImage(session.store.root, entry) };
}

/** The same where the image is not looked into. Error: IMAGE_NOT_FOUND. */
export async function findStoreEntry(session: Session, text: string): Promise<StoreEntry> {
  const { images, root } = session.store;
  const name = canonicalName(text);
  const named = name === undefined ? undefined : await images.find(name);
  if (named !== undefined) return { descriptor: named, name };
  const hex = text.replace(/^sha256:/, '');
  if (/^[a-f0-9]{12,64}$/.test(hex)) {
    const isMeant = (digest: Digest | undefined): boolean => digest?.slice(7).startsWith(hex) === true;
    for (const { descriptor } of await images.list()) {
      if (isMeant(descriptor.digest) || isMeant(await idOf(root, descriptor)))
        return { descriptor, name: undefined };
    }
  }
  throw new BuildError('IMAGE_NOT_FOUND', `the store has no image \`${text}\``, {
    hint: /^[a-f0-9]{4,11}$/.test(hex)
      ? 'the start of an id needs 12 digits or more, as `tsbuild images` shows them'
      : ((await otherTags(session, name)) ??
        '`tsbuild images` lists what is there; `tsbuild pull` gets one from a registry'),
  });
}

/** Whether an image of this digest may have this name: one with another digest would be taken for what is pinned by it. */
export function mayBeNamed(name: string, digest: Digest): boolean {
  const pinned = parseReference(name).digest;
  return pinned === undefined || pinned === digest;
}

/** The canonical form of a name that an image of this digest is to have. Error: REFERENCE_INVALID, also where `mayBeNamed` says no. */
export function nameFor(name: string, digest: Digest): string {
  if (mayBeNamed(name, digest)) return formatReference(parseReference(name));
  throw new BuildError(
    'REFERENCE_INVALID',
    `\`${name}\` names another image: the digest of this one is ${digest}`,
    {
      hint: 'name it by a tag',
    },
  );
}

/** Who leaves the tag out means `latest`, and often has another. undefined: the store has nothing of this repository. */
async function otherTags({ store }: Session, name: string | undefined): Promise<string | undefined> {
  if (name === undefined) return undefined;
  const { registry, repository } = parseReference(name);
  const tags = (await store.images.list()).flatMap((image) => {
    const other = image.name === undefined ? undefined : parseReference(image.name);
    return other?.registry === registry && other.repository === repository ? (other.tag ?? []) : [];
  });
  const what = tags.length === 1 ? 'the tag' : 'the tags';
  return tags.length === 0 ? undefined : `of this name it has ${what} ${tags.slice(0, 20).join(', ')}`;
}

/** undefined: it is no image, or a damaged one. */
async function idOf(root: string, descriptor: Descriptor): Promise<Digest | undefined> {
  try {
    return (await (await openLayoutImage(root, { descriptor })).manifest()).config.digest;
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

/** undefined for a text that can only be a digest. Error: REFERENCE_INVALID. */
function canonicalName(text: string): string | undefined {
  if (isDigest(text)) return undefined;
  return formatReference(parseReference(text));
}
