import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { LowerOptions, LowerResult } from '../../src/frontend/lower.ts';
import { lower } from '../../src/frontend/lower.ts';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import { formatDefinition } from '../../src/graph/format.ts';
import { BuildError } from '../../src/util/build-error.ts';
import type { Diagnostic } from '../../src/util/diagnostic.ts';
import { expectGolden } from '../support/golden.ts';
import { projectRoot } from '../support/paths.ts';
import { fakeOptions } from './images.ts';

// A folder of golden/frontend per case: Dockerfile, options.json where the case needs some, expected.txt.
const root = join(projectRoot, 'golden/frontend');
const cases = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .toSorted();

function place(about: { readonly source?: Diagnostic['source'] | undefined }): string {
  if (about.source === undefined) return '-';
  const { source, range } = about.source;
  const { start, end } = range;
  const name = source.name === 'Dockerfile' ? '' : `${source.name}:`;
  return `${name}${start.line}:${start.column}-${start.line === end.line ? '' : `${end.line}:`}${end.column}`;
}

function line(
  head: string,
  about: { message: string; hint?: string | undefined; source?: Diagnostic['source'] | undefined },
): string {
  return `${head} ${place(about)} ${about.message}${about.hint === undefined ? '' : ` | ${about.hint}`}`;
}

function report(result: LowerResult): string {
  const numbers = new Map(result.definition.vertices.map(({ digest }, index) => [digest, `#${index + 1}`]));
  const images = result.images.flatMap(({ config, history, baseHistory }) => [
    `config ${JSON.stringify(config, undefined, 2)}`,
    ...baseHistory.map((entry) => `base history ${entry.created_by}`),
    ...history.map((entry) => {
      const layer =
        entry.vertex === undefined ? (entry.empty_layer === true ? '-' : '?') : numbers.get(entry.vertex);
      return `history ${layer} ${JSON.stringify(entry.created_by)}`;
    }),
  ]);
  const notes = result.diagnostics.map((diagnostic) =>
    line(`${diagnostic.severity} ${diagnostic.rule}`, diagnostic),
  );
  return [formatDefinition(result.definition), ...images, ...notes, ''].join('\n');
}

async function outcome(text: string, options: Partial<LowerOptions>): Promise<string> {
  try {
    return report(await lower(parseDockerfile({ name: 'Dockerfile', text }), fakeOptions(options)));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return [error, ...error.others].map((fault) => `${line(fault.code, fault)}\n`).join('');
  }
}

describe('Dockerfiles and what becomes of them', () => {
  test('there are many cases', () => {
    expect(cases.length).toBeGreaterThan(40);
  });

  test.each(cases)('%s', async (name) => {
    const folder = join(root, name);
    const options = join(folder, 'options.json');
    const given = existsSync(options)
      ? (JSON.parse(readFileSync(options, 'utf8')) as Partial<LowerOptions>)
      : {};
    const text = readFileSync(join(folder, 'Dockerfile'), 'utf8');
    expectGolden(`frontend/${name}/expected.txt`, await outcome(text, given));
  });
});
