import type { Image } from '../image/image.ts';
import { openLayoutImage } from '../image/oci-layout.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { isDigest } from '../oci/digest.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { Session } from './session.ts';

/** An image of the local store. */
export interface StoreImage {
  readonly image: Image;
  readonly descriptor: Descriptor;
  /** The canonical name it was found by, if it was by name. */
  readonly name: string | undefined;
}

/** Finds an image by name, by digest, or by the start (12 digits or more) of its digest or id. Error: IMAGE_NOT_FOUND. */
export async function findStoreImage(session: Session, text: string): Promise<StoreImage> {
  const { images, root } = session.store;
  const name = canonicalName(text);
  const named = name === undefined ? undefined : await images.find(name);
  if (named !== undefined) {
    return { image: await openLayoutImage(root, { descriptor: named }), descriptor: named, name };
  }
  const hex = text.replace(/^sha256:/, '');
  if (/^[a-f0-9]{12,64}$/.test(hex)) {
    for (const { descriptor } of await images.list()) {
      const image = await openLayoutImage(root, { descriptor });
      const id = (await image.manifest()).config.digest;
      if ([descriptor.digest, id].some((digest) => digest.slice(7).startsWith(hex))) {
        return { image, descriptor, name: undefined };
      }
    }
  }
  throw new BuildError('IMAGE_NOT_FOUND', `the store has no image \`${text}\``, {
    hint: /^[a-f0-9]{4,11}$/.test(hex)
      ? 'the start of an id needs 12 digits or more, as `tsbuild images` shows them'
      : '`tsbuild images` lists what is there; `tsbuild pull` gets one from a registry',
  });
}

/** undefined for a text that can only be a digest. Error: REFERENCE_INVALID. */
function canonicalName(text: string): string | undefined {
  if (isDigest(text)) return undefined;
  return formatReference(parseReference(text));
}
