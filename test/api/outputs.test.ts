import { expect, test } from 'vitest';
import { checkOutputs, layerCompression } from '../../src/api/export-all.ts';
import { BuildError } from '../../src/util/build-error.ts';

const store = '/var/lib/store-of-tsbuild';

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return error instanceof BuildError ? error.code : String(error);
  }
  return undefined;
}

test('without outputs the image goes into the store', () => {
  expect(checkOutputs({}, store)).toEqual([{ type: 'image' }]);
});

test('wrong outputs are told before anything runs', () => {
  expect(codeOf(() => checkOutputs({ outputs: [{ type: 'oci' }] }, store))).toBe('USAGE');
  expect(codeOf(() => checkOutputs({ outputs: [{ type: 'registry' }] }, store))).toBe('USAGE');
  // What types forbid; JavaScript does not.
  expect(codeOf(() => checkOutputs({ outputs: [{ type: 'orci' as 'oci', dest: 'a' }] }, store))).toBe(
    'USAGE',
  );
  expect(codeOf(() => checkOutputs({ tags: ['a/B:x'], outputs: [{ type: 'registry' }] }, store))).toBe(
    'REFERENCE_INVALID',
  );
  expect(
    codeOf(() =>
      checkOutputs(
        {
          outputs: [
            { type: 'oci', dest: 'a', compression: 'zstd' },
            { type: 'image', compression: 'gzip' },
          ],
        },
        store,
      ),
    ),
  ).toBe('UNSUPPORTED_HERE');
});

test('an output cannot be written over the store', () => {
  for (const dest of [store, `${store}/index.json`, `${store}/../store-of-tsbuild/x/y`]) {
    expect(codeOf(() => checkOutputs({ outputs: [{ type: 'local', dest }] }, store))).toBe('USAGE');
  }
  expect(
    codeOf(() => checkOutputs({ outputs: [{ type: 'local', dest: `${store}2` }] }, store)),
  ).toBeUndefined();
});

test('the compression asked for holds for new layers', () => {
  expect(layerCompression([{ type: 'image' }])).toBeUndefined();
  expect(layerCompression([{ type: 'image', compression: 'zstd', compressionLevel: 3 }])).toEqual({
    type: 'zstd',
    level: 3,
  });
  expect(layerCompression([{ type: 'image', compression: 'uncompressed' }])).toEqual({ type: 'none' });
});

test('a level that a compression does not have is refused before anything runs', () => {
  const code = (compression: 'gzip' | 'zstd' | 'uncompressed' | undefined, compressionLevel: number) =>
    codeOf(() => checkOutputs({ outputs: [{ type: 'image', compression, compressionLevel }] }, store));
  expect([code(undefined, 0), code('gzip', 9), code('zstd', 22), code('uncompressed', 22)]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect([code(undefined, 10), code('gzip', -1), code('zstd', 23), code('zstd', 1.5)]).toEqual([
    'USAGE',
    'USAGE',
    'USAGE',
    'USAGE',
  ]);
});

test('the level holds for all outputs, whichever names it', () => {
  expect(layerCompression([{ type: 'image', compressionLevel: 0 }])).toEqual({ type: 'gzip', level: 0 });
  expect(
    layerCompression([
      { type: 'image', compression: 'gzip' },
      { type: 'image', compressionLevel: 9 },
    ]),
  ).toEqual({ type: 'gzip', level: 9 });
  const levels = [1, 2].map((compressionLevel) => ({ type: 'image' as const, compressionLevel }));
  expect(codeOf(() => checkOutputs({ outputs: levels }, store))).toBe('UNSUPPORTED_HERE');
});
