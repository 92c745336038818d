import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KeyComponents } from '../../src/graph/key-components.ts';
import type { RecordsDocument, RemoteRecord } from '../../src/cache/remote-format.ts';
import {
  decodeInline,
  decodeRecords,
  encodeCacheConfig,
  encodeInline,
  encodeRecords,
  inlineKey,
} from '../../src/cache/remote-format.ts';
import type { Digest } from '../../src/oci/digest.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { BuildError } from '../../src/util/build-error.ts';

const of = (text: string): Digest => digestOf(text);
const time = '2026-01-02T03:04:05.678Z';
const record: RemoteRecord = {
  ...{ key: of('key'), opKey: of('op'), inputs: [of('input')], kind: 'exec', name: 'RUN make' },
  ...{ place: 'Dockerfile 3', components: of('components') },
  stack: [
    [of('base'), null],
    [of('own'), time],
  ],
};
const components: KeyComponents = {
  ...{ text: 'RUN make', values: [['A', '1']], mounts: [], options: [['user', 'root']] },
  inputs: [{ name: 'FROM base', files: { list: [['a', 'file 0644', '0:0', 'ab']], omitted: 2 } }],
};
const document: RecordsDocument = {
  records: [record, { ...record, key: of('other'), place: undefined, components: undefined }],
  components: new Map([[of('components'), components]]),
};
const plain = (): Record<string, unknown> =>
  JSON.parse(gunzipSync(encodeRecords(document)).toString()) as Record<string, unknown>;
const decode = (value: unknown): RecordsDocument => decodeRecords(gzipSync(JSON.stringify(value)));

describe('records', () => {
  test('are read as they were written, and written alike each time', () => {
    expect(decodeRecords(encodeRecords(document))).toEqual(document);
    expect(encodeRecords(document)).toEqual(encodeRecords(decodeRecords(encodeRecords(document))));
  });

  test.each([
    ['another version', { version: 2 }],
    ['no digest', { diffIds: ['sha256:../../etc/passwd'] }],
    ['layers that are not there', { diffIds: [of('base')] }],
    ['no list', { records: {} }],
    ['no object', { records: [null] }],
    ['a key that is no digest', { records: [{ ...record, stack: [], key: 'x' }] }],
    ['a name that is no text', { records: [{ ...record, stack: [], name: ['x'] }] }],
    ['a name that is too long', { records: [{ ...record, stack: [], name: 'x'.repeat(100_001) }] }],
    ['an index that is a word', { records: [{ ...record, stack: [['__proto__', null]] }] }],
    ['an index below 0', { records: [{ ...record, stack: [[-1, null]] }] }],
    ['a time that is none', { records: [{ ...record, stack: [[0, 'yesterday\n']] }] }],
  ])('with %s are refused', (_name, change) => {
    expect(() => decode({ ...plain(), ...change })).toThrow(/^the cache is not well formed: /);
  });

  test('explanations that are not well formed are left out, and nothing else', () => {
    for (const bad of [
      null,
      {},
      { ...components, values: [['A', 1]] },
      { ...components, inputs: [{ name: 'x', files: { list: [['a']] } }] },
      { ...components, inputs: [{ name: 'x', key: 'no digest' }] },
      { ...components, inputs: [{ name: 'x', image: { reference: 'x', digest: 'y' } }] },
    ]) {
      const read = decode({ ...plain(), components: { [of('components')]: bad } });
      expect(read).toEqual({ ...document, components: new Map() });
    }
  });

  test('that unpack to more than any cache has are refused', () => {
    expect(() => decodeRecords(gzipSync(Buffer.alloc(70 * 1024 * 1024)))).toThrow('cannot be read');
  });

  test('of whatever JSON are read or refused, by an error that is told', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom('version', 'diffIds', 'records', 'components'),
        (value, key) => {
          for (const body of [value, { ...plain(), [key]: value }]) {
            try {
              decode(body);
            } catch (error) {
              expect(error).toBeInstanceOf(BuildError);
            }
          }
        },
      ),
    );
  });
});

describe('an inline cache', () => {
  const config = {
    rootfs: { type: 'layers', diff_ids: [of('base'), of('one'), of('two')] },
    history: [
      { created: '2020-01-01T00:00:00Z', created_by: 'base' },
      { created: time, created_by: 'ENV A=1', empty_layer: true },
      { created: time, created_by: 'RUN one' },
      { created: time, created_by: 'RUN two' },
    ],
    [inlineKey]: encodeInline(1, [
      { key: of('1'), kind: 'exec', layers: 2 },
      { key: of('2'), kind: 'exec', layers: 3 },
    ]),
  };

  test('has a record for each step, with the layers below it and their times', () => {
    expect(decodeInline(config)).toMatchObject([
      {
        key: of('1'),
        name: 'RUN one',
        stack: [
          [of('base'), null],
          [of('one'), time],
        ],
      },
      {
        key: of('2'),
        name: 'RUN two',
        stack: [
          [of('base'), null],
          [of('one'), time],
          [of('two'), time],
        ],
      },
    ]);
    expect(decodeInline({ ...config, [inlineKey]: undefined })).toBeUndefined();
  });

  test.each([
    ['more layers than there are', { [inlineKey]: { version: 1, base: 1, steps: [[of('1'), 'exec', 4]] } }],
    ['a part of a layer', { [inlineKey]: { version: 1, base: 1, steps: [[of('1'), 'exec', 1.5]] } }],
    ['no base', { [inlineKey]: { version: 1, steps: [[of('1'), 'exec', 1]] } }],
    ['another version', { [inlineKey]: { version: 7 } }],
    ['another history', { history: [] }],
    ['no diff_ids', { rootfs: {} }],
  ])('with %s is refused', (_name, change) => {
    expect(() => decodeInline({ ...config, ...change })).toThrow(/^the cache is not well formed: /);
  });
});

test('the config that BuildKit reads has each chain of layers once, as its doc.go says', () => {
  const layer = (text: string) => ({ mediaType: 'x/y', digest: of(text), size: 1 });
  const [a, b, c] = [layer('a'), layer('b'), layer('c')];
  expect(JSON.parse(Buffer.from(encodeCacheConfig([[a], [a, b], [a, c], [c]])).toString())).toEqual({
    layers: [
      { blob: of('a'), parent: -1 },
      { blob: of('b'), parent: 0 },
      { blob: of('c'), parent: 0 },
      { blob: of('c'), parent: -1 },
    ],
    records: [],
  });
});
