import { expect, test } from 'vitest';
import { imageConfig } from '../../src/api/image-config.ts';
import type { LoweredImage } from '../../src/frontend/lower.ts';
import type { StoredLayer } from '../../src/image/layer-store.ts';
import { digestOf } from '../../src/oci/digest.ts';

const step = digestOf('a step');

function layer(name: string, created?: string) {
  const stored = { knownDiffId: digestOf(name) } as StoredLayer;
  return { layer: stored, ...(created === undefined ? {} : { created }) };
}

const lowered = {
  platform: { os: 'linux', architecture: 'amd64' },
  vertex: step,
  config: { config: { Env: ['A=b'] } },
  baseHistory: [{ created: '2020-01-01T00:00:00.000Z', created_by: 'base' }],
  history: [
    { created_by: 'ENV A=b', empty_layer: true },
    { created_by: 'RUN x', vertex: step },
    { created_by: 'CMD y', empty_layer: true },
  ],
} satisfies LoweredImage;

test('created is the time kept with the newest layer, so that a cached build repeats it', () => {
  const config = imageConfig(lowered, [layer('base'), layer('own', '2026-05-01T10:00:00.000Z')], undefined);
  expect(config.created).toBe('2026-05-01T10:00:00.000Z');
  expect(config.history?.map((entry) => entry.created)).toEqual([
    '2020-01-01T00:00:00.000Z',
    '2020-01-01T00:00:00.000Z',
    '2026-05-01T10:00:00.000Z',
    '2026-05-01T10:00:00.000Z',
  ]);
  expect(config.rootfs.diff_ids).toEqual([digestOf('base'), digestOf('own')]);
});

test('SOURCE_DATE_EPOCH dates every new entry and leaves those of the base alone (X-RE-1)', () => {
  const config = imageConfig(lowered, [layer('base'), layer('own', '2026-05-01T10:00:00.000Z')], 0);
  expect(config.created).toBe('1970-01-01T00:00:00.000Z');
  expect(config.history?.[0]?.created).toBe('2020-01-01T00:00:00.000Z');
  expect(new Set(config.history?.slice(1).map((entry) => entry.created))).toEqual(
    new Set(['1970-01-01T00:00:00.000Z']),
  );
});

test('the keys of vertices never reach the config', () => {
  const config = imageConfig(lowered, [layer('own', '2026-05-01T10:00:00.000Z')], undefined);
  expect(JSON.stringify(config.history)).not.toContain('vertex');
});
