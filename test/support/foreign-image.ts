import { writeLayout } from '../../src/image/oci-layout.ts';
import { readTar } from '../../src/image/tar.ts';
import type { Entry } from '../../src/image/entry.ts';
import { assembleImage } from '../../src/image/mutate.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { streamOfEntries } from '../image/entries.ts';
import { localStore } from '../image/local-store.ts';
import { createReadStream } from 'node:fs';
import { busyboxRootfs } from './base-images.ts';

/** Writes an OCI layout with one image, busybox and these layers above it, which need not be such as tsbuild makes. */
export async function writeForeignImage(
  directory: string,
  layers: readonly (readonly Entry[])[],
): Promise<void> {
  using store = localStore();
  const busybox = readTar(createReadStream(busyboxRootfs()), { whiteouts: false });
  const stored = [await store.layers.fromEntries(busybox)];
  for (const entries of layers) stored.push(await store.layers.fromEntries(streamOfEntries(...entries)));
  const { os, architecture } = hostPlatform();
  const image = await assembleImage({
    layers: stored,
    config: {
      ...{ created: '2001-09-09T01:46:40Z', os, architecture },
      config: { Env: ['PATH=/bin'] },
      history: stored.map((_, at) => ({ created_by: `layer ${at}` })),
    },
    mediaTypes: 'oci',
  });
  await writeLayout(directory, [{ image, names: ['docker.io/library/foreign:latest'] }]);
}
