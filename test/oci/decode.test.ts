import { expect, test } from 'vitest';
import { decodeConfig, decodeDocument, decodeIndex, decodeManifest } from '../../src/oci/decode.ts';
import { mediaType } from '../../src/oci/media-type.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const config = { mediaType: mediaType.ociConfig, digest, size: 2 };
const layer = { mediaType: mediaType.ociLayerGzip, digest, size: 3 };
const manifest = { schemaVersion: 2, mediaType: mediaType.ociManifest, config, layers: [layer] };
const entry = {
  mediaType: mediaType.ociManifest,
  digest,
  size: 5,
  platform: { os: 'linux', architecture: 'amd64' },
};
const index = { schemaVersion: 2, mediaType: mediaType.ociIndex, manifests: [entry] };
const imageConfig = { os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [digest] } };
const bytes = (value: unknown): Uint8Array =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

test('R-MT-1: reads manifests and indexes by what they say they are', () => {
  expect(decodeManifest(bytes(manifest))).toEqual(manifest);
  expect(decodeManifest(bytes(manifest), `${mediaType.ociManifest}; charset=utf-8`)).toEqual(manifest);
  expect(decodeIndex(bytes(index))).toEqual(index);
  expect(decodeDocument(bytes({ ...index, mediaType: undefined })).kind).toBe('index');
  expect(decodeDocument(bytes({ ...manifest, mediaType: undefined })).mediaType).toBe(mediaType.ociManifest);
});

test('R-MT-1: unknown keys and nulls do no harm', () => {
  const value = { ...manifest, annotations: null, future: { a: 1 } };
  expect(decodeManifest(bytes(value))).toEqual(manifest);
});

interface Row {
  readonly name: string;
  readonly value: unknown;
  readonly type?: string;
}

const rows: readonly Row[] = [
  { name: 'no JSON', value: '{' },
  { name: 'bytes that are no UTF-8', value: Buffer.from('{"a":"\u00ff"}', 'latin1') },
  { name: 'a list', value: [] },
  { name: 'null', value: 'null' },
  { name: 'manifests beside layers (GHSA-xmmx-7jpf-fx42)', value: { ...manifest, manifests: [] } },
  { name: 'manifests beside config', value: { ...index, config } },
  { name: 'the keys of schema 1 beside layers', value: { ...manifest, fsLayers: [] } },
  { name: 'a key in other case, which Go would take', value: { ...manifest, Layers: [] } },
  { name: 'schema version 1', value: { schemaVersion: 1, fsLayers: [] } },
  { name: 'a signed schema 1 type', value: manifest, type: mediaType.dockerManifestV1Signed },
  { name: 'another type than it was sent as', value: manifest, type: mediaType.ociIndex },
  { name: 'an index without manifests', value: { schemaVersion: 2, mediaType: mediaType.ociIndex } },
  { name: 'an unknown media type', value: manifest, type: 'text/html' },
  { name: 'no layers', value: { ...manifest, layers: undefined } },
  { name: 'layers that are no list', value: { ...manifest, layers: { length: 1 } } },
  {
    name: 'a digest that is a path',
    value: { ...manifest, layers: [{ ...layer, digest: 'sha256:../../etc/passwd' }] },
  },
  {
    name: 'another hash',
    value: { ...manifest, layers: [{ ...layer, digest: `sha512:${'a'.repeat(128)}` }] },
  },
  { name: 'a negative size', value: { ...manifest, layers: [{ ...layer, size: -1 }] } },
  { name: 'a size that is no whole number', value: { ...manifest, layers: [{ ...layer, size: 1.5 }] } },
  { name: 'a size beyond what numbers hold', value: { ...manifest, layers: [{ ...layer, size: 1e300 }] } },
  {
    name: 'a media type that breaks headers',
    value: { ...manifest, layers: [{ ...layer, mediaType: 'a/b\r\nc: d' }] },
  },
  { name: 'too many layers', value: { ...manifest, layers: Array.from({ length: 4097 }, () => layer) } },
  { name: 'annotations that are no texts', value: { ...manifest, annotations: { a: 1 } } },
];

test.each(rows)('R-PULL-1: refuses $name', ({ value, type }) => {
  const input = value instanceof Uint8Array ? value : bytes(value);
  expect(() => decodeDocument(input, type)).toThrow(expect.objectContaining({ code: 'IMAGE_INVALID' }));
});

test('R-PULL-1: refuses a document that is too large before it is parsed', () => {
  const large = Buffer.alloc(4 * 1024 * 1024 + 1, ' ');
  expect(() => decodeDocument(large)).toThrow('4194305 bytes');
});

test('reads a config as docker writes it, nulls and all', () => {
  const value = {
    ...imageConfig,
    created: '2026-01-01T00:00:00Z',
    docker_version: 'x',
    config: {
      Env: ['A=b'],
      Cmd: null,
      Entrypoint: ['/bin/x'],
      Volumes: { '/data': {} },
      Labels: null,
      Tty: false,
    },
    history: [{ created_by: 'RUN x', empty_layer: true, unknown: 1 }],
  };
  expect(decodeConfig(bytes(value))).toEqual({
    ...imageConfig,
    created: '2026-01-01T00:00:00Z',
    config: { Env: ['A=b'], Entrypoint: ['/bin/x'], Volumes: { '/data': {} } },
    history: [{ created_by: 'RUN x', empty_layer: true }],
  });
});

test.each([
  ['no rootfs', { os: 'linux', architecture: 'amd64' }],
  ['another kind of rootfs', { ...imageConfig, rootfs: { type: 'x' } }],
  ['no system', { ...imageConfig, os: undefined }],
  ['a diff id that is none', { ...imageConfig, rootfs: { type: 'layers', diff_ids: ['x'] } }],
  ['Env that is no list', { ...imageConfig, config: { Env: 'A=b' } }],
  ['Cmd with a number', { ...imageConfig, config: { Cmd: [1] } }],
  ['a label that is no text', { ...imageConfig, config: { Labels: { a: {} } } }],
  ['history that is no list', { ...imageConfig, history: 'x' }],
])('refuses a config with %s', (_, value) => {
  expect(() => decodeConfig(bytes(value))).toThrow(expect.objectContaining({ code: 'IMAGE_INVALID' }));
});

test('a label called __proto__ is a label', () => {
  const text = JSON.stringify({ ...imageConfig, config: { Labels: {} } }).replace(
    '"Labels":{}',
    '"Labels":{"__proto__":"x"}',
  );
  const labels = decodeConfig(bytes(text)).config?.Labels ?? {};
  expect(Object.getOwnPropertyNames(labels)).toEqual(['__proto__']);
});

test('platforms are listed in messages, so their names are short', () => {
  for (const key of ['os', 'architecture', 'variant']) {
    const platform = { ...entry.platform, [key]: 'x'.repeat(256) };
    expect(() => decodeIndex(bytes({ ...index, manifests: [{ ...entry, platform }] }))).toThrow(
      'is too long',
    );
  }
});
