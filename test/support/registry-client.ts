import { toLayer } from '../../src/image/derive.ts';
import type { Image } from '../../src/image/image.ts';
import { assembleImage } from '../../src/image/mutate.ts';
import type { Platform } from '../../src/oci/platform.ts';
import type { RegistryClient, RegistryClientOptions } from '../../src/registry/client.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { streamOf } from '../../src/util/streams.ts';

export const amd64: Platform = { os: 'linux', architecture: 'amd64' };
export const arm64: Platform = { os: 'linux', architecture: 'arm64' };

export interface ImageOptions {
  readonly architecture?: string;
  readonly compression?: 'gzip' | 'zstd';
  readonly mediaTypes?: 'oci' | 'docker';
}

/** An image with one file in each layer. */
export async function makeImage(texts: readonly string[], options: ImageOptions = {}): Promise<Image> {
  const layers = texts.map((text, number) => {
    const content = Buffer.from(text);
    const entry = {
      path: `file-${number}`,
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: content.length,
      mtime: 0n,
    } as const;
    async function* entries(): AsyncGenerator<typeof entry & { content: () => AsyncGenerator<Uint8Array> }> {
      yield { ...entry, content: () => streamOf(content) };
    }
    return toLayer({ kind: 'entries', open: entries }, { type: options.compression ?? 'gzip' });
  });
  return assembleImage({
    layers,
    config: { os: 'linux', architecture: options.architecture ?? 'amd64', config: { Cmd: ['/bin/sh'] } },
    mediaTypes: options.mediaTypes ?? 'oci',
  });
}

/** A client that hardly waits between tries. */
export function testClient(options: Partial<RegistryClientOptions> = {}): RegistryClient {
  return createRegistryClient({
    env: { PATH: process.env['PATH'] },
    retry: { delays: [10], longestPause: 1000 },
    ...options,
  });
}

/** What it fails with. */
export const failure: (work: Promise<unknown>) => Promise<unknown> = (work) =>
  work.then(
    () => 'it worked',
    (error: unknown) => error,
  );
