import { expect, test } from 'vitest';
import { imageChain } from '../../src/api/early-push.ts';
import type { Op } from '../../src/graph/op.ts';
import type { Vertex } from '../../src/graph/vertex.ts';
import { makeVertex } from '../../src/graph/vertex.ts';
import { digestOf } from '../../src/oci/digest.ts';

const platform = { os: 'linux', architecture: 'amd64' };

function vertex(op: Op, ...inputs: readonly Vertex[]): Vertex {
  return makeVertex(
    op,
    inputs.map(({ digest }) => digest),
    { name: op.kind },
  );
}
const image = (name: string): Vertex =>
  vertex({ kind: 'image', reference: name, digest: digestOf(name), platform });
const copy = (base: Vertex, from: Vertex, link: boolean): Vertex => {
  const sources = [{ kind: 'input', input: 1, paths: ['/a'], extract: false }] as const;
  return vertex(
    { ...{ kind: 'copy', base: 0, sources, dest: '/a', parents: false, exclude: [] }, link },
    base,
    from,
  );
};
const run = (base: Vertex): Vertex =>
  vertex(
    {
      ...{
        kind: 'exec',
        base: 0,
        args: [],
        env: [],
        cwd: '/',
        user: '',
        mounts: [],
        files: [],
        hostname: '',
      },
      ...{ network: 'default', security: 'sandbox', platform },
    },
    base,
  );

test('the vertices whose layers are in the image, and what is above each', () => {
  const [base, tools] = [image('base'), image('tools')];
  const made = run(tools);
  const linked = copy(base, made, true);
  const ran = run(linked);
  const target = copy(ran, made, false);
  const other = copy(ran, made, true);
  const vertices = [base, tools, made, linked, ran, target, other];
  const chain = imageChain({ vertices, target: target.digest });
  expect(Object.fromEntries(chain)).toEqual({
    [target.digest]: { isTop: true, reads: false, runs: false },
    [ran.digest]: { isTop: false, reads: true, runs: false },
    [linked.digest]: { isTop: false, reads: true, runs: true },
    [base.digest]: { isTop: false, reads: true, runs: true },
  });
});

test('a link reads nothing below it; a merge has the layers of all its inputs', () => {
  const [base, tools] = [image('base'), image('tools')];
  const linked = copy(base, tools, true);
  const target = vertex({ kind: 'merge' }, linked, tools);
  const chain = imageChain({ vertices: [base, tools, linked, target], target: target.digest });
  const below = { isTop: false, reads: false, runs: false };
  expect(Object.fromEntries(chain)).toEqual({
    [target.digest]: { ...below, isTop: true },
    [linked.digest]: below,
    [tools.digest]: below,
    [base.digest]: below,
  });
  expect(imageChain({ vertices: [], target: undefined }).size).toBe(0);
});
