/**
 * Shows that the tests of the language's rows can fail: `npm run mutate [-- --row ID ... | --count N --seed N]`.
 *
 * For each chosen row (20 at random by default; `--all` for all) its mutation is applied to a copy of the checkout and the tests named
 * by the row are run there: they must pass before, and one of them must fail after. Ends with `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../support/paths.ts';
import type { Mutation } from './mutate-types.ts';
import { testsByRow } from './titles.ts';

/** All mutations, from the files beside this one. */
export async function loadMutations(): Promise<readonly Mutation[]> {
  const files = globSync('test/language/mutations/*.ts', { cwd: projectRoot }).toSorted();
  const modules = await Promise.all(
    files.map(async (file) => (await import(join(projectRoot, file))) as { mutations: readonly Mutation[] }),
  );
  return modules.flatMap(({ mutations }) => mutations);
}

/** The text with the mutation; undefined where what it replaces does not stand there exactly once. */
export function applyMutation(text: string, { from, to }: Mutation): string | undefined {
  const parts = text.split(from);
  return parts.length === 2 ? parts.join(to) : undefined;
}

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly messages: readonly string[];
}

function runRow(copy: string, row: string, files: readonly string[]): Outcome {
  const report = join(copy, 'report.json');
  rmSync(report, { force: true });
  const run = spawnSync(
    process.execPath,
    [
      join(projectRoot, 'node_modules/vitest/vitest.mjs'),
      'run',
      ...files,
      ...['-t', `(?<![\\w-])${row}(?!\\d)`],
      ...['--reporter=json', `--outputFile=${report}`],
    ],
    { cwd: copy, encoding: 'utf8', timeout: 300_000 },
  );
  let json: {
    numPassedTests: number;
    numFailedTests: number;
    testResults: { status: string; assertionResults: { fullName: string; failureMessages?: string[] }[] }[];
  };
  try {
    json = JSON.parse(readFileSync(report, 'utf8')) as typeof json;
  } catch {
    throw new Error(`no report of the tests of ${row}:\n${run.stdout}${run.stderr}`);
  }
  const broken = json.testResults.filter(({ status }) => status === 'failed').length;
  const messages = json.testResults.flatMap(({ assertionResults }) =>
    assertionResults.flatMap(({ fullName, failureMessages = [] }) =>
      failureMessages.map((text) => `${fullName}: ${text}`),
    ),
  );
  return { passed: json.numPassedTests, failed: Math.max(json.numFailedTests, broken), messages };
}

function verdict(copy: string, mutation: Mutation, files: readonly string[]): string | undefined {
  const path = join(copy, mutation.file);
  const text = readFileSync(path, 'utf8');
  const mutated = applyMutation(text, mutation);
  if (mutated === undefined) return `\`${mutation.from}\` does not stand in ${mutation.file} exactly once`;
  const before = runRow(copy, mutation.row, files);
  if (before.failed > 0 || before.passed === 0)
    return `unchanged, ${before.passed} tests pass and ${before.failed} fail\n${before.messages.join('\n')}`;
  writeFileSync(path, mutated);
  try {
    const after = runRow(copy, mutation.row, files);
    return after.failed > 0 ? undefined : `${after.passed} tests pass although the row is broken`;
  } finally {
    writeFileSync(path, text);
  }
}

/** Some of a list, by a seed: the same seed gives the same choice. */
function choose<T>(list: readonly T[], count: number, seed: number): readonly T[] {
  let state = seed >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return list
    .map((item) => ({ item, order: random() }))
    .toSorted((a, b) => a.order - b.order)
    .slice(0, count)
    .map(({ item }) => item);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      row: { type: 'string', multiple: true },
      count: { type: 'string', default: '20' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      all: { type: 'boolean', default: false },
    },
  });
  const mutations = await loadMutations();
  const rows = [...new Set(mutations.map(({ row }) => row))];
  const wanted = values.row ?? (values.all ? rows : choose(rows, Number(values.count), Number(values.seed)));
  if (values.row === undefined && !values.all) console.log(`seed ${values.seed}`);
  const titles = testsByRow();
  const copy = mkdtempSync(join(tmpdir(), 'tsbuild-mutate-'));
  let passed = 0;
  let failed = 0;
  try {
    for (const name of [
      'src',
      'test',
      'golden',
      'bin',
      'examples',
      'package.json',
      'vitest.config.ts',
      'tsconfig.json',
    ])
      cpSync(join(projectRoot, name), join(copy, name), { recursive: true });
    for (const name of ['tsconfig.build.json', 'bundle.mjs', 'README.md', 'node_modules'])
      symlinkSync(join(projectRoot, name), join(copy, name));
    for (const row of wanted) {
      const own = mutations.filter((mutation) => mutation.row === row);
      const problems =
        own.length === 0
          ? ['there is no mutation of it']
          : own
              .map((mutation) => verdict(copy, mutation, titles.get(row) ?? []))
              .filter((text) => text !== undefined);
      if (problems.length === 0) passed++;
      else failed++;
      console.log(problems.length === 0 ? `ok      ${row}` : `FAILED  ${row}: ${problems.join('; ')}`);
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
