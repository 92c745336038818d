import { expect, test } from 'vitest';
import { checkOutputs, layerCompression } from '../../src/api/export-all.ts';
import { BuildError } from '../../src/util/build-error.ts';

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return error instanceof BuildError ? error.code : String(error);
  }
  return undefined;
}

test('without outputs the image goes into the store', () => {
  expect(checkOutputs({})).toEqual([{ type: 'image' }]);
});

test('wrong outputs are told before anything runs', () => {
  expect(codeOf(() => checkOutputs({ outputs: [{ type: 'oci' }] }))).toBe('USAGE');
  expect(codeOf(() => checkOutputs({ outputs: [{ type: 'registry' }] }))).toBe('USAGE');
  expect(codeOf(() => checkOutputs({ tags: ['a/B:x'], outputs: [{ type: 'registry' }] }))).toBe(
    'REFERENCE_INVALID',
  );
  expect(
    codeOf(() =>
      checkOutputs({
        outputs: [
          { type: 'oci', dest: 'a', compression: 'zstd' },
          { type: 'image', compression: 'gzip' },
        ],
      }),
    ),
  ).toBe('UNSUPPORTED_HERE');
});

test('the compression asked for holds for new layers', () => {
  expect(layerCompression([{ type: 'image' }])).toBeUndefined();
  expect(layerCompression([{ type: 'image', compression: 'zstd', compressionLevel: 3 }])).toEqual({
    type: 'zstd',
    level: 3,
  });
  expect(layerCompression([{ type: 'image', compression: 'uncompressed' }])).toEqual({ type: 'none' });
});
