import { expect, test } from 'vitest';
import { suggest } from '../../src/util/suggest.ts';

test.each([
  ['psuh', ['pull', 'push'], 'push'],
  // As near as `run`, and begun with.
  ['prun', ['run', 'prune'], 'prune'],
  ['prun', ['prune', 'run'], 'prune'],
  ['pru', ['prune'], undefined],
  ['rnu', ['run', 'rmi'], 'run'],
  ['xyz', ['run', 'abc'], undefined],
])('%s of %j: %s', (word, candidates, meant) => {
  expect(suggest(word, candidates)).toBe(meant);
});
