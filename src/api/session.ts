import { delimiter, resolve } from 'node:path';
import { mappedIds } from '../host/probe.ts';
import type { Emit } from '../progress/event.ts';
import type { LayerStore, LayerTable } from '../image/layer-store.ts';
import { createLayerStore } from '../image/layer-store.ts';
import type { Digest } from '../oci/digest.ts';
import type { Compression } from '../oci/media-type.ts';
import { layerCompression } from '../oci/media-type.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { FindCredential } from '../registry/credentials.ts';
import type { Store } from '../store/store.ts';
import { defaultStoreRoot, openStore } from '../store/store.ts';
import { BuildError } from '../util/build-error.ts';
import { storeFileError } from '../store/store-error.ts';
import { machineError } from '../util/system-error.ts';
import type { CommonOptions } from './types.ts';

/** What one call of the library works with; disposing closes it. */
export interface Session extends AsyncDisposable {
  readonly store: Store;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly emit: Emit;
  /** `isBase`: those layers keep whatever blob they have; all others get one with the compression asked for. */
  layerStore(compression?: LayerCompression, isBase?: (diffId: Digest) => boolean): LayerStore;
  /** Made when first asked for: the HTTP client costs start-up time. With options it is another one than the session's usual. */
  registry(options?: RegistryOptions): Promise<RegistryClient>;
}

export interface RegistryOptions {
  /** Further hosts for plain HTTP. */
  readonly insecure?: readonly string[];
  /** Instead of those in the credential files. */
  readonly credentials?: FindCredential;
}

/** How new layers are compressed. */
export interface LayerCompression {
  readonly type: 'gzip' | 'zstd' | 'none';
  readonly level?: number;
}

export async function openSession(options: CommonOptions): Promise<Session> {
  const env = withAuthorities(options.env ?? process.env, options.certificateAuthorities);
  const signal = options.signal ?? new AbortController().signal;
  throwIfInterrupted(signal);
  const emit = options.onEvent ?? ((): void => undefined);
  const store = await openStore(options.root ?? defaultStoreRoot(env));
  const clients: RegistryClient[] = [];
  const connect = async ({ insecure = [], credentials }: RegistryOptions): Promise<RegistryClient> => {
    const { createRegistryClient } = await import('../registry/client.ts');
    const { givenCredentials, registryFiles } = await import('./registry-settings.ts');
    const client = createRegistryClient({
      env,
      emit,
      signal,
      insecure: [...(options.insecureRegistries ?? []), ...insecure],
      mirrors: options.registryMirrors ?? {},
      mirrorsOnly: options.mirrorsOnly,
      nondistributable: options.nondistributableRegistries,
      trustedRealms: options.trustedRealms,
      credentials: credentials ?? givenCredentials(options, env),
      ...registryFiles(options, env),
    });
    clients.push(client);
    return client;
  };
  let usual: Promise<RegistryClient> | undefined;
  return {
    store,
    env,
    signal,
    emit,
    layerStore: (compression = { type: 'gzip' }, isBase = () => true) =>
      createLayerStore({
        root: store.root,
        blobs: store.blobs,
        table: layerTable(store, (diffId) => (isBase(diffId) ? undefined : compression.type)),
        compression,
        tempDir: () => store.tempDir(),
        keep: (path) => store.keep(path),
        ids: mappedIds(),
      }),
    registry: (special) => (special === undefined ? (usual ??= connect({})) : connect(special)),
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) await client[Symbol.asyncDispose]();
      await store.close();
    },
  };
}

/** What reads certificates finds its own through the environment. */
function withAuthorities(env: NodeJS.ProcessEnv, files: readonly string[] | undefined): NodeJS.ProcessEnv {
  if (files === undefined || files.length === 0) return env;
  const paths = files.map((file) => resolve(file));
  const unfit = paths.find((path) => path.includes(delimiter));
  if (unfit !== undefined)
    throw new BuildError('USAGE', `\`${unfit}\` cannot be used: it has a \`${delimiter}\``);
  return { ...env, TSBUILD_CA: paths.join(delimiter) };
}

/** Which blob holds a layer: one of the compression that `wanted` names, any when it names none. */
function layerTable(store: Store, wanted: (diffId: Digest) => Compression | undefined): LayerTable {
  return {
    get: (diffId) => {
      const compression = wanted(diffId);
      const records = store.state.layers(diffId).filter(({ digest }) => store.blobs.has(digest));
      if (compression === undefined) return records[0];
      return records.find(({ mediaType }) => layerCompression(mediaType) === compression);
    },
    set: (diffId, record) => store.state.putLayer({ diffId, ...record }),
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
    throw storeFileError(machineError(error), session.store.root);
  }
}

function throwIfInterrupted(signal: AbortSignal, cause?: unknown): void {
  if (signal.aborted) throw new BuildError('INTERRUPTED', 'interrupted', { cause });
}
