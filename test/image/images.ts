import type { Entry } from '../../src/image/entry.ts';
import type { Image } from '../../src/image/image.ts';
import { assembleImage } from '../../src/image/mutate.ts';
import { streamOfEntries } from './entries.ts';
import type { LocalStore } from './local-store.ts';

/** A small image of one layer for each list of entries. */
export async function smallImage(
  store: LocalStore,
  layers: readonly (readonly Entry[])[],
  more: { readonly architecture?: string; readonly mediaTypes?: 'oci' | 'docker' } = {},
): Promise<Image> {
  const stored = await Promise.all(
    layers.map((entries) => store.layers.fromEntries(streamOfEntries(...entries))),
  );
  return assembleImage({
    layers: stored,
    config: {
      created: '2024-01-02T03:04:05Z',
      architecture: more.architecture ?? 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin'], Labels: { b: '2', a: '1' }, Entrypoint: null },
      history: stored.map((_, at) => ({ created_by: `step ${at}` })),
    },
    mediaTypes: more.mediaTypes ?? 'oci',
  });
}
