import pLimit from 'p-limit';
import type { StoredLayer } from '../image/layer-store.ts';
import type { Digest } from '../oci/digest.ts';
import { isNondistributable } from '../oci/media-type.ts';
import type { Emit } from '../progress/event.ts';
import { transferTeller } from '../progress/transfer.ts';
import type { RegistryClient, Repository } from '../registry/client.ts';
import { endsOne } from '../registry/push.ts';
import type { ByteStream } from '../util/streams.ts';

export interface EarlyLayer {
  readonly layer: StoredLayer;
  /** Where it came from: mounted when that is another repository of the same registry. */
  readonly origin?: Repository | undefined;
  /** Somebody here reads its blob as well: it is fetched once for both, and kept. Else a blob that is elsewhere passes through. */
  readonly isRead: boolean;
  /** There is time to make the blob of a new layer first, so that one which the registry has is not sent. Else it is sent while it is made. */
  readonly look: boolean;
}

export interface EarlyLayersOptions {
  readonly signal: AbortSignal;
  readonly emit: Emit;
}

interface Try {
  readonly ended: Promise<void>;
  begun: boolean;
  left: boolean;
}

/**
 * Sends layers to a repository while the rest of their image is still being made: nobody sees them there before a manifest names them. It
 * only saves time: what fails here is sent by the push, whose error counts. Disposing it ends what is on its way.
 */
export class EarlyLayers implements AsyncDisposable {
  readonly #client: RegistryClient;
  readonly #to: Repository;
  readonly #emit: Emit;
  readonly #name: string;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  // Each compresses with all the cores that there are.
  readonly #limit = pLimit(2);
  readonly #tries = new Map<Digest, Try>();
  #refused = false;
  #finished: Promise<void> | undefined;

  constructor(client: RegistryClient, to: Repository, { signal, emit }: EarlyLayersOptions) {
    this.#client = client;
    this.#to = to;
    this.#emit = emit;
    this.#name = `sending layers to ${to.registry}/${to.repository}`;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  /** Begins to send a layer, unless it has done so before. */
  add(early: EarlyLayer): void {
    const { knownDiffId: diffId } = early.layer;
    if (this.#finished !== undefined || this.#tries.has(diffId)) return;
    if (this.#tries.size === 0) this.#step('running');
    const ended = this.#limit(async () => {
      if (this.#refused || this.#signal.aborted || mine.left) return;
      mine.begun = true;
      try {
        await this.#send(early);
      } catch (error) {
        this.#failed(diffId, error);
      }
    });
    const mine: Try = { ended, begun: false, left: false };
    this.#tries.set(diffId, mine);
  }

  /** Resolves when the layer's try has ended, whatever came of it; one that has not begun is left to the caller: undefined. */
  takeOver(diffId: Digest): Promise<void> | undefined {
    const found = this.#tries.get(diffId);
    if (found?.begun === true) return found.ended;
    if (found !== undefined) found.left = true;
    return undefined;
  }

  /** Takes no more. Resolves when all that has begun has ended. */
  finish(): Promise<void> {
    return (this.#finished ??= this.#finish());
  }

  async #finish(): Promise<void> {
    for (const { ended } of this.#tries.values()) await ended;
    if (this.#tries.size > 0) this.#step(this.#signal.aborted ? 'cancelled' : 'done');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.finish();
  }

  async #send({ layer, origin, isRead, look }: EarlyLayer): Promise<void> {
    const signal = this.#signal;
    const isUnmade = layer.isNew() && !layer.hasBlob();
    const about = { id: this.#id, name: `sending ${layer.knownDiffId.slice(7, 19)}` };
    if (isUnmade && !look) {
      const progress = transferTeller(this.#emit, about);
      const open = (): ByteStream => layer.transit({ signal });
      const { size } = await this.#client.uploadStream(this.#to, open, { signal, onProgress: progress.at });
      progress.done(size);
      return;
    }
    if (isUnmade) await layer.storeBlob({ signal });
    // The push knows who may have these.
    if (isNondistributable(await layer.mediaType())) return;
    const [digest, size] = [await layer.digest(), await layer.size()];
    const progress = transferTeller(this.#emit, { ...about, total: size });
    const outcome = await this.#client.uploadBlob(
      this.#to,
      {
        ...{ digest, size },
        open: () => (isRead ? layer.compressed({ signal }) : layer.transit({ signal })),
        mountFrom: origin?.registry === this.#to.registry ? origin.repository : undefined,
      },
      { signal, onProgress: progress.at },
    );
    if (outcome === 'uploaded') progress.done(size);
  }

  #failed(diffId: Digest, error: unknown): void {
    if (this.#signal.aborted) return;
    // What is refused once is refused again: only the push asks once more.
    this.#refused ||= !endsOne(error);
    const message = error instanceof Error ? error.message : String(error);
    const data = Buffer.from(`${diffId.slice(7, 19)} is sent again at the end: ${message}\n`);
    this.#emit({ type: 'log', id: this.#id, stream: 'stderr', data, time: Date.now() });
  }

  #step(state: 'running' | 'done' | 'cancelled'): void {
    this.#emit({ type: 'vertex', id: this.#id, name: this.#name, state, time: Date.now() });
  }

  get #id(): `internal:${string}` {
    return `internal:${this.#name}`;
  }
}
