import { describe, expect, test } from 'vitest';
import { selectPlatform } from '../../src/image/select-platform.ts';
import type { Descriptor } from '../../src/oci/descriptor.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { mediaType } from '../../src/oci/media-type.ts';

function manifest(platform: string | undefined, more: Partial<Descriptor> = {}): Descriptor {
  const [os = '', architecture = '', variant] = platform?.split('/') ?? [];
  return {
    mediaType: mediaType.ociManifest,
    digest: digestOf(platform ?? ''),
    size: 1,
    ...(platform === undefined
      ? {}
      : { platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } }),
    ...more,
  };
}

function choose(wanted: string, ...offered: readonly Descriptor[]): string | undefined {
  const [os = '', architecture = '', variant] = wanted.split('/');
  const found = selectPlatform(offered, { os, architecture, ...(variant === undefined ? {} : { variant }) });
  const platform = found?.platform;
  if (found === undefined) return undefined;
  return platform === undefined
    ? 'unnamed'
    : [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/');
}

describe('R-PULL-2: selectPlatform', () => {
  const [amd64, arm64, v5, v6, v7] = ['amd64', 'arm64/v8', 'arm/v5', 'arm/v6', 'arm/v7'].map((name) =>
    manifest(`linux/${name}`),
  ) as [Descriptor, Descriptor, Descriptor, Descriptor, Descriptor];
  const attestation = manifest('unknown/unknown', {
    annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
  });

  test.each([
    ['linux/amd64', [arm64, amd64], 'linux/amd64'],
    ['linux/x86_64', [arm64, amd64], 'linux/amd64'],
    ['linux/amd64/v3', [amd64, manifest('linux/amd64/v2')], 'linux/amd64/v2'],
    ['linux/amd64', [manifest('linux/amd64/v2')], undefined],
    ['linux/arm64', [amd64, arm64], 'linux/arm64/v8'],
    ['linux/arm/v7', [v5, v6, v7], 'linux/arm/v7'],
    ['linux/arm/v7', [v5, v6], 'linux/arm/v6'],
    ['linux/arm', [v5, v7], 'linux/arm/v7'],
    ['linux/arm/v6', [v7], undefined],
    ['linux/arm/v999999999', [v7], 'linux/arm/v7'],
    ['windows/amd64', [amd64], undefined],
    ['linux/amd64', [attestation], undefined],
    ['unknown/unknown', [attestation], undefined],
    ['linux/s390x', [manifest(undefined), attestation], 'unnamed'],
    ['linux/s390x', [manifest(undefined), amd64], undefined],
    [
      'linux/amd64',
      [manifest('linux/amd64', { mediaType: 'application/vnd.cncf.helm.chart.v1.tar+gzip' })],
      undefined,
    ],
  ])('%s', (wanted, offered, expected) => {
    expect(choose(wanted, ...offered)).toBe(expected);
  });
});
