import pLimit from 'p-limit';
import type { Image } from '../image/image.ts';
import type { Layer } from '../image/layer.ts';
import type { IndexMember } from '../image/mutate.ts';
import { assembleIndex } from '../image/mutate.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf } from '../oci/digest.ts';
import { isNondistributable } from '../oci/media-type.ts';
import type { Reference } from '../oci/reference.ts';
import { formatReference } from '../oci/reference.ts';
import type { Emit } from '../progress/event.ts';
import { transferTeller } from '../progress/transfer.ts';
import { BuildError } from '../util/build-error.ts';
import { isSpoilt } from '../util/spoilt.ts';
import { streamOf } from '../util/streams.ts';
import type { UploadOutcome } from './blob-upload.ts';
import type { RegistryClient, Repository } from './client.ts';
import { isPassing } from './errors.ts';

export interface PushOptions {
  /** One becomes a plain manifest, unless `index` is given; several an index, in this order. At least one. */
  readonly images: readonly Image[];
  /** The repository, and the tag or digest to write. */
  readonly reference: Reference;
  /** The index as other outputs have it; by default it is made from the images. */
  readonly index?: { readonly mediaType: string; readonly bytes: Uint8Array } | undefined;
  /** Further tags of the same repository. */
  readonly tags?: readonly string[] | undefined;
  /** Where a layer came from; used when that is another repository of the same registry. */
  readonly mountFrom?: ((layer: Digest) => Repository | undefined) | undefined;
  /** Blobs that are on their way already: waited for before they are looked at. Must not reject. */
  readonly underway?: ((layer: Digest) => Promise<void> | undefined) | undefined;
  readonly emit?: Emit | undefined;
  /** The step that transfers are shown under. */
  readonly id?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Blobs on their way at once; default 4. */
  readonly concurrency?: number | undefined;
}

/**
 * Pushes images to one repository (R-PUSH-1): blobs side by side, each once and only where it is missing; then manifests, then the index,
 * then tags, so that nobody ever sees a name whose parts are not there. Layers that are there or can be mounted are never read. A blob that
 * fails does not keep the others from arriving, and is tried once more after them; what a registry refuses ends all at once. Returns
 * the descriptor of what the tags name. Throws REGISTRY_*, and what reading a layer throws.
 */
export async function pushImage(client: RegistryClient, options: PushOptions): Promise<Descriptor> {
  const { images, reference } = options;
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const blobs = new BlobQueue(options.concurrency ?? 4, stop);
  const pushLayer = async (layer: Layer): Promise<void> => {
    // Asking for the digest may mean to compress, so it waits for its turn as well.
    const digest = await blobs.inTurn(() => {
      signal.throwIfAborted();
      return layer.digest();
    });
    await options.underway?.(digest);
    await blobs.once(digest, () => sendLayer(client, layer, { ...options, signal }));
  };
  const pushParts = async (image: Image): Promise<void> => {
    const { config } = await image.manifest();
    const layers = await image.layers();
    const { digest, size } = config;
    const blob = { digest, size, open: () => lazily(() => image.rawConfig()) };
    await Promise.all([
      ...layers.map((layer) => pushLayer(layer)),
      blobs.once(digest, () => client.uploadBlob(reference, blob, { signal })),
    ]);
  };
  try {
    await Promise.all(images.map((image) => pushParts(image)));
    await blobs.secondRound();
  } catch (error) {
    // What others throw when they are ended says nothing.
    if (!stop.signal.aborted) stop.abort(error);
    await blobs.settled();
    options.signal?.throwIfAborted();
    throw stop.signal.reason;
  }
  return putDocuments(client, options);
}

type Push = () => Promise<UploadOutcome | 'skipped'>;

/** Some blobs at once, each once. */
class BlobQueue {
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #stop: AbortController;
  readonly #begun = new Map<Digest, Promise<void>>();
  readonly #failed: { readonly push: Push; readonly error: unknown }[] = [];
  #inARow = 0;

  /** `stop` is aborted with what makes it pointless to go on. */
  constructor(concurrency: number, stop: AbortController) {
    this.#limit = pLimit(concurrency);
    this.#stop = stop;
  }

  inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#limit(work);
  }

  once(digest: Digest, push: Push): Promise<void> {
    const known = this.#begun.get(digest) ?? this.#limit(() => this.#first(push));
    this.#begun.set(digest, known);
    return known;
  }

  async #first(push: Push): Promise<void> {
    try {
      await push();
      this.#inARow = 0;
    } catch (error) {
      this.#failed.push({ push, error });
      this.#inARow += 1;
      // A registry that nothing gets through to is not asked for each blob.
      if (!endsOne(error) || this.#inARow > patience) {
        if (!this.#stop.signal.aborted) this.#stop.abort(error);
        throw error;
      }
    }
  }

  /** Those that failed, once more; the first that cannot be mended is thrown. */
  async secondRound(): Promise<void> {
    const lost = this.#failed.find(({ error }) => !isPassing(error) && !isSpoilt(error));
    if (lost !== undefined) throw lost.error;
    await Promise.all(this.#failed.map(({ push }) => this.#limit(push)));
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#begun.values());
  }
}

const patience = 4;

/** Whether the failure of one blob says nothing of the others. */
export function endsOne(error: unknown): boolean {
  if (!(error instanceof BuildError)) return false;
  return (
    isPassing(error) ||
    ![
      'REGISTRY_UNAUTHORIZED',
      'REGISTRY_UNSAFE',
      'REGISTRY_BLOCKED',
      'REGISTRY_UNREACHABLE',
      'CREDENTIALS_INVALID',
      'INTERRUPTED',
    ].includes(error.code)
  );
}

/** C-RE-6: throws at once what the push would throw at its end, by starting an upload and cancelling it. */
export async function checkPushAccess(
  client: RegistryClient,
  reference: Reference,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  await client.checkPush(reference, options);
}

async function sendLayer(
  client: RegistryClient,
  layer: Layer,
  options: PushOptions,
): Promise<UploadOutcome | 'skipped'> {
  const { reference, signal, emit } = options;
  const [digest, size, type] = await Promise.all([layer.digest(), layer.size(), layer.mediaType()]);
  // R-PULL-4: their licence may forbid it; whoever pulls takes them from their URLs.
  if (isNondistributable(type) && !(await client.takesNondistributable(reference))) return 'skipped';
  const origin = options.mountFrom?.(digest);
  const id = options.id ?? `internal:push ${formatReference(reference)}`;
  const name = `pushing ${digest.slice(7, 19)}`;
  const progress = transferTeller(emit, { id, name, total: size });
  const outcome = await client.uploadBlob(
    reference,
    {
      digest,
      size,
      open: () => layer.compressed({ signal }),
      mountFrom: origin?.registry === reference.registry ? origin.repository : undefined,
    },
    { signal, onProgress: progress.at },
  );
  if (outcome === 'uploaded') progress.done(size);
  return outcome;
}

async function putDocuments(client: RegistryClient, options: PushOptions): Promise<Descriptor> {
  const { images, reference, signal } = options;
  const [only] = images;
  if (only === undefined) throw new BuildError('INTERNAL', 'there is no image to push');
  const alone = images.length === 1 && options.index === undefined;
  if (!alone) {
    for (const image of images) {
      const { mediaType: type, digest } = await image.descriptor();
      await client.putManifest(
        reference,
        digest,
        { mediaType: type, bytes: await image.rawManifest() },
        { signal },
      );
    }
  }
  const top = alone
    ? { mediaType: (await only.descriptor()).mediaType, bytes: await only.rawManifest() }
    : (options.index ?? (await makeIndex(images)));
  const descriptor = { mediaType: top.mediaType, digest: digestOf(top.bytes), size: top.bytes.length };
  if (reference.digest !== undefined && reference.digest !== descriptor.digest) {
    throw new BuildError(
      'REFERENCE_INVALID',
      `${formatReference(reference)} cannot be pushed: the image has the digest ${descriptor.digest}`,
    );
  }
  const tags = new Set([...(reference.tag === undefined ? [] : [reference.tag]), ...(options.tags ?? [])]);
  // A document without a tag is reached by its digest; with tags the first PUT stores it, the others name it.
  for (const tag of tags.size === 0 ? [descriptor.digest] : tags) {
    await client.putManifest(reference, tag, top, { signal });
  }
  return descriptor;
}

async function makeIndex(images: readonly Image[]): Promise<{ mediaType: string; bytes: Uint8Array }> {
  const members: IndexMember[] = [];
  for (const image of images) {
    const { os, architecture, variant } = await image.config();
    const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    members.push({ descriptor: await image.descriptor(), platform });
  }
  const { bytes, descriptor } = assembleIndex(members, { mediaTypes: 'oci' });
  return { mediaType: descriptor.mediaType, bytes };
}

async function* lazily(read: () => Promise<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* streamOf(await read());
}
