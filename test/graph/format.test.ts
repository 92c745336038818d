import { describe, expect, test } from 'vitest';
import type { Definition } from '../../src/graph/definition.ts';
import {
  definitionToDot,
  definitionToJson,
  definitionToMermaid,
  formatDefinition,
} from '../../src/graph/format.ts';
import type { ExecOp } from '../../src/graph/op.ts';
import { makeVertex } from '../../src/graph/vertex.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { expectGolden } from '../support/golden.ts';

const platform = { os: 'linux', architecture: 'amd64' };
const source = {
  source: { name: 'Dockerfile', text: 'FROM alpine\n' },
  range: { start: { line: 1, column: 1 }, end: { line: 1, column: 12 } },
};
const image = makeVertex(
  { kind: 'image', reference: 'docker.io/library/alpine:latest', digest: digestOf('a'), platform },
  [],
  {
    name: '[1/4] FROM docker.io/library/alpine:latest',
    source,
  },
);
const context = makeVertex({ kind: 'context', name: 'context' }, [], {
  name: '[internal] load build context',
});
const http = makeVertex(
  { kind: 'http', url: 'https://example.com/x', filename: 'x', checksum: digestOf('x') },
  [],
  {
    name: '[internal] fetch',
  },
);
const git = makeVertex({ kind: 'git', url: 'https://example.com/x.git', ref: 'v1', submodules: false }, [], {
  name: 'git',
});
const exec: ExecOp = {
  kind: 'exec',
  base: 0,
  args: ['/bin/sh', '-c', 'echo "a\nb"'],
  env: ['PATH=/bin'],
  cwd: '/w',
  user: 'app',
  mounts: [
    { type: 'bind', target: '/ctx', input: 1, source: '/', readonly: true },
    {
      type: 'cache',
      target: '/c',
      id: 'c',
      sharing: 'locked',
      readonly: false,
      input: undefined,
      source: '/',
      mode: 0o700,
      uid: 0,
      gid: 0,
    },
    { type: 'tmpfs', target: '/t', size: 1024 },
    { type: 'secret', id: 's', env: 'S', required: true, mode: 0o400, uid: 0, gid: 0 },
    { type: 'ssh', id: 'default', target: '/agent', required: false, mode: 0o600, uid: 0, gid: 0 },
  ],
  network: 'none',
  security: 'sandbox',
  hostname: 'box',
  platform,
  files: [{ path: '/dev/pipes/EOF', content: '#!/bin/sh\n', mode: 0o755 }],
};
const run = makeVertex(exec, [image.digest, context.digest], {
  name: '[2/4] RUN echo "<b>" \\x',
  ignoreCache: true,
});
const copy = makeVertex(
  {
    kind: 'copy',
    base: 0,
    sources: [
      { kind: 'input', input: 1, paths: ['a', ''], extract: true },
      { kind: 'inline', name: 'EOF', content: 'x\n', mode: 0o644 },
    ],
    dest: '/d/',
    chown: '1:2',
    chmod: '755',
    parents: true,
    exclude: ['*.md'],
    link: true,
  },
  [run.digest, http.digest],
  { name: '[3/4] COPY' },
);
const mkdir = makeVertex({ kind: 'mkdir', base: undefined, path: '/w', user: '' }, [], {
  name: '[4/4] WORKDIR /w',
});
const merge = makeVertex({ kind: 'merge' }, [copy.digest, mkdir.digest, git.digest], { name: 'merge' });
const definition: Definition = {
  vertices: [image, context, run, http, copy, mkdir, git, merge],
  target: merge.digest,
};

describe('a definition with every kind of op', () => {
  test('as text', () => {
    expectGolden('frontend/format.txt', formatDefinition(definition));
  });

  test('as dot', () => {
    expectGolden('frontend/format.dot', definitionToDot(definition));
  });

  test('as Mermaid', () => {
    expectGolden('frontend/format.mmd', definitionToMermaid(definition));
  });

  test('as JSON', () => {
    const json = JSON.parse(definitionToJson(definition)) as {
      target: string;
      vertices: { digest: string; op: unknown; inputs: unknown; source?: unknown }[];
    };
    expect(json.target).toBe(merge.digest);
    expect(json.vertices.map(({ digest }) => digest)).toEqual(
      definition.vertices.map(({ digest }) => digest),
    );
    expect(json.vertices[0]?.source).toEqual({ name: 'Dockerfile', range: source.range });
    expect(json.vertices[4]?.op).toEqual(copy.op);
    expect(json.vertices[4]?.inputs).toEqual(copy.inputs);
  });
});

test('the empty definition', () => {
  expect(formatDefinition({ vertices: [], target: undefined })).toBe('target #0\n');
  expect(definitionToJson({ vertices: [], target: undefined })).toBe(
    '{\n  "target": null,\n  "vertices": []\n}\n',
  );
});
