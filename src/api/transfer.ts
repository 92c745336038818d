import { storeImage } from '../export/to-store.ts';
import type { OutputTarget } from '../export/output-file.ts';
import { refuseStore, writeOutput } from '../export/output-file.ts';
import { dockerArchiveEntries, readImageArchive } from '../image/docker-archive.ts';
import type { Image } from '../image/image.ts';
import type { StoredLayer } from '../image/layer-store.ts';
import { layoutEntries } from '../image/oci-layout.ts';
import { writeTar } from '../image/tar.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform, hostPlatform, parsePlatform } from '../oci/platform.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { summarize } from './images.ts';
import { internalStep } from './internal-step.ts';
import type { Session } from './session.ts';
import { withSession } from './session.ts';
import { findStoreImage, mayBeNamed, nameFor } from './store-image.ts';
import type { StoreImage } from './store-image.ts';
import type { CommonOptions, ImageSummary } from './types.ts';

/** Brings an image of one platform from its registry into the store. */
export function pullImage(
  options: CommonOptions & { readonly image: string; readonly platform?: string | undefined },
): Promise<ImageSummary> {
  return withSession(options, async (session) => {
    const reference = parseReference(options.image);
    const name = formatReference(reference);
    return internalStep(session.emit, `pulling ${name}`, async (id) => {
      const { resolveImage } = await import('../registry/pull.ts');
      const platform = options.platform === undefined ? hostPlatform() : parsePlatform(options.platform);
      const { image } = await resolveImage(await session.registry(), reference, platform, {
        signal: session.signal,
      });
      if (options.platform !== undefined)
        warnOfPlatform(session, { name, wanted: platform, ...(await image.config()) });
      return keepImage({ session, id }, image, [name]);
    });
  });
}

/** What is no index is taken whatever it is for (R-PULL-2): who asked for something else is told. */
function warnOfPlatform(
  session: Session,
  {
    name,
    wanted,
    os,
    architecture,
  }: { readonly name: string; readonly wanted: Platform } & Pick<Platform, 'os' | 'architecture'>,
): void {
  if (os === wanted.os && architecture === wanted.architecture) return;
  session.emit({
    type: 'diagnostic',
    diagnostic: {
      severity: 'warning',
      rule: 'PulledPlatform',
      message: `${name} is one image for ${os}/${architecture}: there is none for ${formatPlatform(wanted)}`,
    },
  });
}

/** Pushes an image of the store under its name, or under `to`. */
export function pushImage(
  options: CommonOptions & { readonly image: string; readonly to?: string | undefined },
): Promise<Descriptor> {
  return withSession(options, async (session) => {
    const { image, name } = await toPush(session, options);
    const reference = parseReference(options.to ?? name ?? options.image);
    const pushed = internalStep(session.emit, `pushing ${formatReference(reference)}`, async (id) => {
      const push = await import('../registry/push.ts');
      return push.pushImage(await session.registry(), {
        images: [image],
        reference,
        signal: session.signal,
        emit: session.emit,
        id,
      });
    });
    return pushed.catch((error: unknown) => {
      // Docker Hub's, because no registry was named: that the image needs no second name is told here alone.
      const isShort = options.to === undefined && reference.registry === 'docker.io';
      throw error instanceof BuildError && error.code === 'REGISTRY_UNREACHABLE' && isShort
        ? error.hinted(`as in \`tsbuild push ${options.image} REGISTRY/NAME:TAG\``)
        : error;
    });
  });
}

/** The image that is pushed. Who names it as it shall be called in the registry, and has it under another name, is told how both are said. */
async function toPush(
  session: Session,
  { image, to }: { readonly image: string; readonly to?: string | undefined },
): Promise<StoreImage> {
  try {
    return await findStoreImage(session, image);
  } catch (error) {
    throw error instanceof BuildError && error.code === 'IMAGE_NOT_FOUND' && to === undefined
      ? error.hinted(`\`tsbuild push IMAGE ${image}\` pushes one of them under this name`)
      : error;
  }
}

/** Writes images of the store as one archive that `docker load` or, for 'oci', any OCI tool reads. */
export function saveImage(
  options: CommonOptions & {
    readonly images: readonly string[];
    readonly format?: 'docker' | 'oci' | undefined;
  } & OutputTarget,
): Promise<void> {
  return withSession(options, async (session) => {
    if ('file' in options) refuseStore(options.file, session.store.root);
    const images: { image: Image; names: string[] }[] = [];
    for (const text of options.images) {
      const { image, name } = await findStoreImage(session, text);
      images.push({ image, names: name === undefined ? [] : [name] });
    }
    const entries = options.format === 'oci' ? layoutEntries(images) : dockerArchiveEntries(images);
    const target = 'file' in options ? { file: options.file } : { stream: options.stream };
    await writeOutput(target, writeTar(entries), session.signal);
  });
}

/** Reads an archive of `docker save` or an OCI archive into the store. Error: IMAGE_INVALID. */
export function loadImage(
  options: CommonOptions & { readonly stream: ByteStream },
): Promise<readonly ImageSummary[]> {
  return withSession(options, async (session) => {
    const loaded = await readImageArchive(options.stream, await session.store.tempDir());
    const summaries: ImageSummary[] = [];
    for (const { image, names } of loaded) {
      const digest = await image.digest();
      // What an archive says is pinned is believed of its own digest alone.
      const canonical = names.filter((name) => mayBeNamed(name, digest)).map((name) => nameFor(name, digest));
      summaries.push(await keepImage({ session, id: 'internal:loading' }, image, canonical));
    }
    return summaries;
  });
}

/** Every blob of the image into the store, then the names. */
async function keepImage(
  { session, id }: { readonly session: Session; readonly id: string },
  image: Image,
  names: readonly string[],
): Promise<ImageSummary> {
  const layerStore = session.layerStore();
  const { diff_ids } = (await image.config()).rootfs;
  const layers: StoredLayer[] = (await image.layers()).map((layer, index) => {
    const diffId = diff_ids[index];
    if (diffId === undefined) throw new TypeError('a layer without diff_id');
    return layerStore.fromRemote(diffId, layer);
  });
  const descriptor = await storeImage(
    session.store,
    { image, layers },
    { id, signal: session.signal, emit: session.emit },
  );
  await session.store.images.tag(descriptor, names);
  return summarize(image, descriptor, names[0]);
}
