import type { LowerOptions, ResolvedImage } from '../../src/frontend/lower.ts';
import type { ImageConfig } from '../../src/oci/config.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { Platform } from '../../src/oci/platform.ts';
import { BuildError } from '../../src/util/build-error.ts';

const amd64: Platform = { os: 'linux', architecture: 'amd64' };

const configs: Readonly<Record<string, Partial<ImageConfig>>> = {
  'docker.io/library/alpine:latest': {
    config: { Env: ['PATH=/bin'], Cmd: ['/bin/sh'] },
    history: [{ created_by: 'ADD rootfs.tar / # buildkit' }],
  },
  'docker.io/library/alpine:3.20': { config: { Env: ['PATH=/bin', 'ALPINE=3.20'] } },
  'docker.io/library/bare:latest': {},
  'docker.io/library/full:latest': {
    author: 'Somebody',
    config: {
      Env: ['PATH=/opt/bin:/bin', 'LANG=C'],
      User: 'app',
      WorkingDir: '/srv',
      Cmd: ['run'],
      Entrypoint: ['/entry'],
      Labels: { maintainer: 'x' },
      ExposedPorts: { '80/tcp': {} },
      Volumes: { '/data': {} },
      StopSignal: 'SIGQUIT',
      Shell: ['/bin/bash', '-c'],
      Healthcheck: { Test: ['CMD', 'true'] },
    },
  },
  'docker.io/library/onbuild:latest': {
    config: { Env: ['PATH=/bin'], OnBuild: ['COPY . /app', 'RUN <<EOF\nmake $A\nEOF', 'ENV TRIGGERED=yes'] },
  },
  'docker.io/library/bad-onbuild:latest': { config: { OnBuild: ['FROM other'] } },
  'docker.io/library/armonly:latest': { architecture: 'arm64' },
};

/** Options of a build for amd64 whose images are the ones above; every other name is no image. */
export function fakeOptions(more: Partial<LowerOptions> = {}): LowerOptions {
  return {
    buildArgs: {},
    platform: amd64,
    buildPlatform: amd64,
    platformIsExplicit: false,
    namedContexts: {},
    resolveImage: fakeImage,
    ...more,
  };
}

export async function fakeImage(reference: string, platform: Platform): Promise<ResolvedImage> {
  const known = configs[reference];
  await Promise.resolve();
  if (known === undefined) throw new BuildError('IMAGE_NOT_FOUND', `there is no image ${reference}`);
  const architecture = known.architecture ?? platform.architecture;
  return {
    reference,
    digest: digestOf(`${reference} ${architecture}`),
    platform: known.architecture === undefined ? platform : { os: 'linux', architecture },
    config: { architecture, os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, ...known },
  };
}
