import { mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { layOutOverlay } from '../../src/executor/snapshot.ts';
import { tempFolder } from '../support/temp.ts';

/** The directories that an overlay stacks, bottom first. */
function stack(directory: string, lower: readonly string[]): string[] {
  const options = layOutOverlay(directory, '', { lower, writable: false });
  const links = /^lowerdir=([^,]*)/.exec(options)?.[1]?.split(':').toReversed() ?? [];
  return links.map((link) =>
    /^l\/\d+$/.test(link) ? readlinkSync(join(directory, link)) : join(directory, link),
  );
}

describe('the overlay of a step', () => {
  test('has each layer once, the topmost of equal ones', async () => {
    await using folder = await tempFolder();
    const [base, empty, other] = ['base', 'empty', 'other'].map((name) => join(folder.path, name)) as [
      string,
      string,
      string,
    ];
    const directory = join(folder.path, 'step');
    mkdirSync(directory);
    expect(stack(directory, [base, empty, other, empty, empty])).toEqual([base, other, empty]);
  });

  test('of one layer, many times, still has the two directories that a mount without an upper one needs', async () => {
    await using folder = await tempFolder();
    const layer = join(folder.path, 'layer');
    const directory = join(folder.path, 'step');
    mkdirSync(directory);
    const stacked = stack(directory, [layer, layer, layer]);
    expect(stacked).toContain(layer);
    expect(stacked).toHaveLength(2);
  });

  test('of names that mean something to overlayfs has links in their place', async () => {
    await using folder = await tempFolder();
    const directory = join(folder.path, 'step');
    mkdirSync(directory);
    const odd = [join(folder.path, 'a:b'), join(folder.path, 'c,d')];
    expect(stack(directory, odd)).toEqual(odd);
    expect(readdirSync(join(directory, 'l'))).toEqual(['0', '1']);
  });

  test('holds up to 500 layers in one page of options, and says so of more', async () => {
    await using folder = await tempFolder();
    const layers = (count: number): string[] =>
      Array.from({ length: count }, (_, index) => join(folder.path, 'a-name-that-is-long', String(index)));
    const lay = (name: string, prefix: string, count: number): string => {
      mkdirSync(join(folder.path, name));
      return layOutOverlay(join(folder.path, name), prefix, { lower: layers(count), writable: false });
    };
    expect(lay('fits', '', 500).length).toBeLessThan(4096);
    const refusal = expect.objectContaining({ code: 'UNSUPPORTED_HERE' });
    expect(() => lay('many', '', 501)).toThrow(refusal);
    expect(() => lay('long', 'm100/', 499)).toThrow(refusal);
  });
});
