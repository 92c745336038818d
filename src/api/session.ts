import type { Emit } from '../progress/event.ts';
import type { LayerStore } from '../image/layer-store.ts';
import { createLayerStore } from '../image/layer-store.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { Store } from '../store/store.ts';
import { defaultStoreRoot, openStore } from '../store/store.ts';
import { BuildError } from '../util/build-error.ts';
import type { CommonOptions } from './types.ts';

/** What one call of the library works with; disposing closes it. */
export interface Session extends AsyncDisposable {
  readonly store: Store;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly emit: Emit;
  layerStore(compression?: LayerCompression): LayerStore;
  /** Made when first asked for: the HTTP client costs start-up time. `insecure`: further hosts for plain HTTP. */
  registry(insecure?: readonly string[]): Promise<RegistryClient>;
}

/** How new layers are compressed. */
export interface LayerCompression {
  readonly type: 'gzip' | 'zstd' | 'none';
  readonly level?: number;
}

export async function openSession(options: CommonOptions): Promise<Session> {
  const env = options.env ?? process.env;
  const signal = options.signal ?? new AbortController().signal;
  throwIfInterrupted(signal);
  const emit = options.onEvent ?? ((): void => undefined);
  const store = await openStore(options.root ?? defaultStoreRoot(env));
  let client: Promise<RegistryClient> | undefined;
  const connect = async (insecure: readonly string[]): Promise<RegistryClient> => {
    const { createRegistryClient } = await import('../registry/client.ts');
    return createRegistryClient({
      env,
      emit,
      insecure: [...(options.insecureRegistries ?? []), ...insecure],
      mirrors: options.registryMirrors ?? {},
    });
  };
  return {
    store,
    env,
    signal,
    emit,
    layerStore: (compression) =>
      createLayerStore({
        root: store.root,
        blobs: store.blobs,
        table: store.state.layers,
        ...(compression === undefined ? {} : { compression }),
      }),
    registry: (insecure = []) => (insecure.length > 0 ? connect(insecure) : (client ??= connect([]))),
    [Symbol.asyncDispose]: async () => {
      await (await client?.catch(() => undefined))?.close();
      await store.close();
    },
  };
}

/** Runs `work` in a session. An abort by the caller's signal always becomes INTERRUPTED, whatever noticed it first. */
export async function withSession<T>(
  options: CommonOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  await using session = await openSession(options);
  try {
    return await work(session);
  } catch (error) {
    throwIfInterrupted(session.signal, error);
    throw error;
  }
}

function throwIfInterrupted(signal: AbortSignal, cause?: unknown): void {
  if (signal.aborted) throw new BuildError('INTERRUPTED', 'interrupted', { cause });
}
