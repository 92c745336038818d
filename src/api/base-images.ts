import type { ResolvedImage } from '../frontend/lower.ts';
import type { Image } from '../image/image.ts';
import type { OpenOptions } from '../image/layer.ts';
import type { LayerStore, StoredLayer } from '../image/layer-store.ts';
import { openLayoutImage } from '../image/oci-layout.ts';
import { openImage } from '../image/open-image.ts';
import type { ImageConfig } from '../oci/config.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOfJson, parseDigest } from '../oci/digest.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform, normalizePlatform } from '../oci/platform.ts';
import type { Reference } from '../oci/reference.ts';
import { familiarReference, formatReference, parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import { promising } from '../util/streams.ts';
import type { Emit } from '../progress/event.ts';
import type { Store } from '../store/store.ts';
import type { SourceLocation } from '../util/source.ts';
import { internalStep } from './internal-step.ts';
import { withPullProgress } from './pull-progress.ts';
import type { PullPolicy } from './types.ts';
import type { Session } from './session.ts';

/** Where the layers of a base can be had again: for mounting blobs between repositories of one registry. */
export interface Origin {
  readonly registry: string;
  readonly repository: string;
}

/** The base images of one build, each resolved once. */
export interface BaseImages {
  resolve(reference: string, platform: Platform, source?: SourceLocation): Promise<ResolvedImage>;
  layers(reference: string, digest: Digest): Promise<readonly StoredLayer[]>;
  /** By diffId: a base layer known to this build, local or not. */
  layer(diffId: Digest): StoredLayer | undefined;
  /** By diffId. */
  readonly origins: ReadonlyMap<Digest, Origin>;
}

const manifestLimit = 8 * 1024 * 1024;

interface Found {
  readonly reference: string;
  readonly image: Image;
  readonly origin?: Origin;
}

/**
 * FROM resolution (L-FROM-3, with the local store added): an OCI layout by `oci-layout://`, the local store, what the store remembers of a
 * registry's answer, the registry. `pull` may say otherwise.
 */
export function createBaseImages(
  session: Session,
  layerStore: LayerStore,
  pull: PullPolicy | boolean = false,
): BaseImages {
  const resolved = new Map<string, Promise<Found>>();
  const byDigest = new Map<Digest, Found>();
  const known = new Map<Digest, StoredLayer>();
  const origins = new Map<Digest, Origin>();

  const find = async (reference: string, platform: Platform): Promise<Found> => {
    if (reference.startsWith('oci-layout://')) return fromLayout(reference, platform);
    const parsed = parseReference(reference);
    if (pull === true || pull === 'always') return fromRegistry(session, parsed, platform);
    if (pull === 'never') return ofStoreAlone(session, parsed, platform);
    const local = await fromStore(session, parsed, platform);
    if (pull === 'newer' && local !== undefined && !(local instanceof BuildError)) {
      return fromRegistry(session, parsed, platform).catch((error: unknown) => {
        if (error instanceof BuildError) return local;
        throw error;
      });
    }
    if (!(local instanceof BuildError)) return local ?? fromRegistry(session, parsed, platform);
    try {
      return await fromRegistry(session, parsed, platform);
    } catch (error) {
      throw error instanceof BuildError ? otherPlatform(parsed, platform, { local, error }) : error;
    }
  };

  return {
    origins,
    layer: (diffId) => known.get(diffId),
    resolve: async (reference, platform, source) => {
      const key = `${reference} ${formatPlatform(platform)}`;
      const search =
        resolved.get(key) ??
        internalStep(session.emit, `[internal] load metadata for ${reference}`, () =>
          find(reference, platform),
        );
      resolved.set(key, search);
      try {
        const found = await search;
        const config = await found.image.config();
        const digest = await found.image.digest();
        byDigest.set(digest, found);
        await rememberLayers(found, layerStore, { known, origins, emit: session.emit });
        return { reference: found.reference, digest, platform: platformOf(config), config };
      } catch (error) {
        throw error instanceof BuildError ? error.at(source) : error;
      }
    },
    layers: async (reference, digest) => {
      const found = byDigest.get(digest);
      if (found === undefined) throw new TypeError(`${reference} was not resolved`);
      const config = await found.image.config();
      return config.rootfs.diff_ids.map((diffId) => {
        const layer = known.get(diffId);
        if (layer === undefined) throw new TypeError(`${reference} lost its layer ${diffId}`);
        return layer;
      });
    },
  };
}

function platformOf({
  os,
  architecture,
  variant,
  'os.version': version,
  'os.features': features,
}: ImageConfig): Platform {
  return normalizePlatform({
    os,
    architecture,
    ...(variant === undefined || variant === '' ? {} : { variant }),
    ...(version === undefined ? {} : { 'os.version': version }),
    ...(features === undefined ? {} : { 'os.features': features }),
  });
}

async function rememberLayers(
  { image, origin, reference }: Found,
  layerStore: LayerStore,
  { known, origins, emit }: { known: Map<Digest, StoredLayer>; origins: Map<Digest, Origin>; emit: Emit },
): Promise<void> {
  const { diff_ids } = (await image.config()).rootfs;
  const layers = withPullProgress(await image.layers(), reference, emit);
  if (layers.length !== diff_ids.length) {
    throw new BuildError(
      'IMAGE_INVALID',
      `${reference} has ${layers.length} layers and ${diff_ids.length} diff_ids`,
    );
  }
  for (const [index, diffId] of diff_ids.entries()) {
    const layer = layers[index];
    if (layer === undefined || known.has(diffId)) continue;
    known.set(diffId, layerStore.fromRemote(diffId, layer));
    if (origin !== undefined) origins.set(diffId, origin);
  }
}

async function fromLayout(reference: string, platform: Platform): Promise<Found> {
  const rest = reference.slice('oci-layout://'.length);
  const match = /^(.*?)(?:@(sha256:[a-f0-9]{64})|:([\w][\w.-]{0,127}))?$/.exec(rest);
  const directory = match?.[1] ?? rest;
  const image = await openLayoutImage(directory, {
    ...(match?.[2] === undefined ? {} : { digest: match[2] as Digest }),
    ...(match?.[3] === undefined ? {} : { name: match[3] }),
    platform,
  });
  return { reference, image };
}

/** The store has the image, but not for the platform, and the registry did not help: of the two the first is what the user can change. */
function otherPlatform(
  parsed: Reference,
  platform: Platform,
  { local, error }: { readonly local: BuildError; readonly error: BuildError },
): BuildError {
  const available = (local.details['available'] as readonly string[] | undefined) ?? [];
  const name = familiarReference(parsed);
  return new BuildError(
    'IMAGE_PLATFORM',
    `the store has \`${name}\` for ${available.join(', ')}, not for ${formatPlatform(platform)}; of the registry: ${error.message}`,
    {
      hint: `build for what is there with --platform ${available[0] ?? ''}, or get the other one with tsbuild pull --platform ${formatPlatform(platform)} ${name}`,
      details: { ...local.details },
      cause: error,
    },
  );
}

/** `never`: layers of what the store only remembers may have to be fetched, so that does not count. */
async function ofStoreAlone({ store }: Session, parsed: Reference, platform: Platform): Promise<Found> {
  const reference = formatReference(parsed);
  const named = await store.images.find(reference);
  if (named !== undefined)
    return { reference, image: await openLayoutImage(store.root, { descriptor: named, platform }) };
  const name = familiarReference(parsed);
  throw new BuildError('IMAGE_NOT_FOUND', `\`${name}\` is not in the store, and no registry may be asked`, {
    hint: `get it with tsbuild pull ${name}, or leave out --pull=never`,
  });
}

/** What the store has under this name, or remembers of the registry's last answer; a BuildError when what it has is for other platforms. */
async function fromStore(
  session: Session,
  parsed: Reference,
  platform: Platform,
): Promise<Found | BuildError | undefined> {
  const { store } = session;
  const reference = formatReference(parsed);
  const named = await store.images.find(reference);
  const descriptor = named ?? remembered(store, resolutionKey(reference, platform));
  if (descriptor === undefined || !store.blobs.has(descriptor.digest)) return undefined;
  try {
    if (named !== undefined) {
      return { reference, image: await openLayoutImage(store.root, { descriptor: named, platform }) };
    }
    const image = openImage(
      await store.blobs.read(descriptor.digest, manifestLimit),
      (blob, options) => promising(blobFromAnywhere(session, parsed, { blob, options }), blob.digest),
      descriptor.mediaType,
    );
    await image.config();
    return { reference, image, origin: { registry: parsed.registry, repository: parsed.repository } };
  } catch (error) {
    // Another platform's image, or one whose blobs are gone: the registry may still have it.
    if (!(error instanceof BuildError)) throw error;
    return error.code === 'IMAGE_PLATFORM' ? error : undefined;
  }
}

/** What the store knows of a base, for this platform or another one; no registry is asked, and nothing is wrong with knowing nothing. */
export async function knownBase(
  { store }: Session,
  reference: string,
  platform: Platform,
): Promise<ResolvedImage | undefined> {
  const tries = [
    () => fromLayout(reference, platform).then(({ image }) => image),
    async () => {
      const descriptor = await store.images.find(formatReference(parseReference(reference)));
      if (descriptor === undefined) return undefined;
      const any = (): Promise<Image> => openLayoutImage(store.root, { descriptor });
      return openLayoutImage(store.root, { descriptor, platform }).catch(any);
    },
    async () => {
      const key = resolutionKey(formatReference(parseReference(reference)), platform);
      const descriptor = remembered(store, key);
      if (descriptor === undefined) return undefined;
      const bytes = await store.blobs.read(descriptor.digest, manifestLimit);
      return openImage(
        bytes,
        (blob, options) => store.blobs.open(blob.digest, options),
        descriptor.mediaType,
      );
    },
  ];
  for (const find of reference.startsWith('oci-layout://') ? tries.slice(0, 1) : tries.slice(1)) {
    try {
      const image = await find();
      if (image === undefined) continue;
      const config = await image.config();
      return { reference, digest: await image.digest(), platform: platformOf(config), config };
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
    }
  }
  return undefined;
}

/** Verified. Of a remembered image only manifest and config are sure to be here: its layers may never have been needed. */
async function* blobFromAnywhere(
  session: Session,
  from: Reference,
  { blob, options }: { readonly blob: Descriptor; readonly options?: OpenOptions | undefined },
): AsyncGenerator<Uint8Array> {
  if (session.store.blobs.has(blob.digest)) yield* session.store.blobs.open(blob.digest, options);
  else yield* (await session.registry()).getBlob(from, blob, options);
}

async function fromRegistry(session: Session, parsed: Reference, platform: Platform): Promise<Found> {
  const { store } = session;
  const reference = formatReference(parsed);
  const { resolveImage } = await import('../registry/pull.ts');
  const client = await session.registry();
  // With documents at hand the tag is looked up by HEAD, which does not count against the limits of Docker Hub.
  const { image, descriptor } = await resolveImage(client, parsed, platform, {
    signal: session.signal,
    known: async (digest) => (store.blobs.has(digest) ? store.blobs.read(digest, manifestLimit) : undefined),
  });
  const config = (await image.manifest()).config.digest;
  if (!store.blobs.has(config)) await store.blobs.putBytes(await image.rawConfig());
  if (!store.blobs.has(descriptor.digest)) await store.blobs.putBytes(await image.rawManifest());
  remember(store, resolutionKey(reference, platform), { reference, descriptor });
  return { reference, image, origin: { registry: parsed.registry, repository: parsed.repository } };
}

function resolutionKey(reference: string, platform: Platform): Digest {
  return digestOfJson({ resolve: reference, platform: formatPlatform(platform) });
}

/** The registry's last answer is kept like the result of a step: it is one, and goes with the cache. */
function remember(
  store: Store,
  key: Digest,
  { reference, descriptor }: { readonly reference: string; readonly descriptor: Descriptor },
): void {
  const { mediaType, digest, size } = descriptor;
  store.state.putCacheRecord({
    key,
    opKey: key,
    inputs: [],
    kind: 'base',
    name: reference,
    result: { mediaType, digest, size },
  });
}

function remembered(store: Store, key: Digest): Descriptor | undefined {
  const record = store.state.cacheRecord(key);
  if (record === undefined || !store.state.used(record)) return undefined;
  const result = record.result as Partial<Descriptor> | undefined;
  if (result?.mediaType === undefined || result.digest === undefined || result.size === undefined)
    return undefined;
  return { mediaType: result.mediaType, digest: parseDigest(result.digest), size: result.size };
}
