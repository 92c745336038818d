import type { Digest } from '../oci/digest.ts';
import { formatPlatform } from '../oci/platform.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { Definition } from './definition.ts';
import type { CopySource, ExecMount, Op } from './op.ts';
import type { Vertex } from './vertex.ts';

/**
 * A definition as text for people and goldens: one block per vertex in the definition's order, vertices numbered from 1, `#0` the empty
 * filesystem. Every field that decides the result is shown; digests of vertices are not.
 */
export function formatDefinition(definition: Definition): string {
  const number = numbering(definition);
  const blocks = definition.vertices.map((vertex) => {
    const lines = opLines(vertex.op, (index) => number(vertex.inputs[index]));
    const inputs = vertex.op.kind === 'merge' ? vertex.inputs.map((digest) => `input ${number(digest)}`) : [];
    const flags = vertex.meta.ignoreCache === true ? ' (no cache)' : '';
    const head = `${number(vertex.digest)} ${JSON.stringify(vertex.meta.name)}${flags}`;
    return [head, ...[...lines, ...inputs].map((line) => `  ${line}`)].join('\n');
  });
  return [...blocks, `target ${number(definition.target)}`, ''].join('\n');
}

/** A definition as JSON: the vertices with their digests, ops, inputs and names; of sources the file's name and the lines only. */
export function definitionToJson(definition: Definition): string {
  const vertices = definition.vertices.map(({ digest, op, inputs, meta }) => ({
    digest,
    name: meta.name,
    op,
    inputs,
    ...(meta.source === undefined
      ? {}
      : { source: { name: meta.source.source.name, range: meta.source.range } }),
    ...(meta.ignoreCache === undefined ? {} : { ignoreCache: meta.ignoreCache }),
  }));
  return `${JSON.stringify({ target: definition.target ?? null, vertices }, undefined, 2)}\n`;
}

/** A definition in the language of graphviz; arrows go from a vertex to those that use it. */
export function definitionToDot(definition: Definition): string {
  const number = numbering(definition);
  const id = (digest: Digest): string => `v${number(digest).slice(1)}`;
  const quote = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`;
  const lines = definition.vertices.flatMap((vertex) => [
    `  ${id(vertex.digest)} [label=${quote(vertex.meta.name)}${vertex.digest === definition.target ? ', peripheries=2' : ''}];`,
    ...vertex.inputs.map((input) => `  ${id(input)} -> ${id(vertex.digest)};`),
  ]);
  return ['digraph build {', '  rankdir=TB;', '  node [shape=box];', ...lines, '}', ''].join('\n');
}

/** A definition as a Mermaid flowchart, for Markdown pages. */
export function definitionToMermaid(definition: Definition): string {
  const number = numbering(definition);
  const id = (digest: Digest): string => `v${number(digest).slice(1)}`;
  // Mermaid reads HTML entities; anything that could end the label or be a tag is written as one.
  const label = (vertex: Vertex): string =>
    vertex.meta.name.replace(/[^\w ./:=,+@[\]()-]/gu, (char) => `#${char.codePointAt(0)};`);
  const lines = definition.vertices.flatMap((vertex) => [
    `  ${id(vertex.digest)}["${label(vertex)}"]`,
    ...vertex.inputs.map((input) => `  ${id(input)} --> ${id(vertex.digest)}`),
  ]);
  return ['flowchart TD', ...lines, ''].join('\n');
}

function numbering(definition: Definition): (digest: Digest | undefined) => string {
  const numbers = new Map(definition.vertices.map(({ digest }, index) => [digest, index + 1]));
  return (digest) => `#${digest === undefined ? 0 : (numbers.get(digest) ?? '?')}`;
}

function opLines(op: Op, input: (index: number) => string): readonly string[] {
  const base = (index: number | undefined): string => `base ${index === undefined ? '#0' : input(index)}`;
  switch (op.kind) {
    case 'image':
      return [`image ${op.reference}`, `digest ${op.digest}`, `platform ${formatPlatform(op.platform)}`];
    case 'context':
      return [`context ${op.name}`];
    case 'http':
    case 'git': {
      const { kind, url, ...rest } = op;
      return [`${kind} ${url}`, ...fields(rest)];
    }
    case 'exec': {
      const { base: on, args, env, mounts, files, cwd, user, network, security, hostname, platform } = op;
      return [
        base(on),
        `exec ${JSON.stringify(args)}`,
        ...env.map((pair) => `env ${JSON.stringify(pair)}`),
        `cwd ${cwd}`,
        `user ${JSON.stringify(user)}`,
        `network ${network}, security ${security}, hostname ${hostname}, platform ${formatPlatform(platform)}`,
        ...mounts.map((mount) => mountLine(mount, input)),
        ...files.map((file) => `file ${file.path} ${octal(file.mode)} ${JSON.stringify(file.content)}`),
      ];
    }
    case 'copy':
      return [
        base(op.base),
        ...op.sources.map((source) => sourceLine(source, input)),
        `dest ${op.dest}`,
        ...fields({ chown: op.chown, chmod: op.chmod }),
        ...op.exclude.map((pattern) => `exclude ${JSON.stringify(pattern)}`),
        ...(op.parents ? ['parents'] : []),
        ...(op.link ? ['link'] : []),
      ];
    case 'mkdir':
      return [base(op.base), `mkdir ${op.path}`, `user ${JSON.stringify(op.user)}`];
    case 'merge':
      return ['merge'];
    default: {
      const unknown: never = op;
      throw new TypeError(`no format for ${JSON.stringify(unknown)}`);
    }
  }
}

function sourceLine(source: CopySource, input: (index: number) => string): string {
  if (source.kind === 'inline') {
    return `inline ${source.name} ${octal(source.mode)} ${JSON.stringify(source.content)}`;
  }
  return `from ${input(source.input)} ${source.paths.map((path) => JSON.stringify(path)).join(' ')}${source.extract ? ' extract' : ''}`;
}

function mountLine(mount: ExecMount, input: (index: number) => string): string {
  const { type, target, ...rest } = { target: undefined, ...mount };
  const shown = Object.entries(rest).map(([key, value]) => {
    if (key === 'input') return `input=${typeof value === 'number' ? input(value) : '#0'}`;
    return `${key}=${key === 'mode' ? octal(Number(value)) : String(value)}`;
  });
  return `mount ${type} ${target ?? '-'} ${shown.join(' ')}`.trimEnd();
}

function octal(mode: number): string {
  return `0${mode.toString(8)}`;
}

function fields(record: Readonly<Record<string, JsonValue | undefined>>): readonly string[] {
  return Object.entries(record).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`],
  );
}
