import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { tempFolder } from '../support/temp.ts';

const FILES = 20_000;
const PER_DIRECTORY = 100;

/** Milliseconds; medians of runs that are taken in turns. */
export interface ContextTimes {
  /** readdirSync and lstatSync of all that is in the context, by the same Node, without its start. */
  readonly bare: number;
  /** A no-op rebuild with the context, beyond one with an empty context. */
  readonly context: number;
}

const loop = `
const { lstatSync, readdirSync } = require('node:fs');
const start = performance.now();
const visit = (directory) => {
  for (const name of readdirSync(directory)) {
    const path = directory + '/' + name;
    if (lstatSync(path).isDirectory()) visit(path);
  }
};
visit(process.argv[1]);
process.stdout.write(String(performance.now() - start));
`;

/** Measures what 20,000 unchanged files of a context cost. */
export async function benchContext(rounds: number): Promise<ContextTimes> {
  await using work = await tempFolder('bench-context');
  const store = join(work.path, 'store');
  const full = join(work.path, 'full');
  const empty = join(work.path, 'empty');
  for (const context of [full, empty]) {
    mkdirSync(join(context, 'src'), { recursive: true });
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY src /src\n');
  }
  for (let index = 0; index < FILES; index += 1) {
    const directory = join(full, 'src', `d${Math.floor(index / PER_DIRECTORY)}`);
    if (index % PER_DIRECTORY === 0) mkdirSync(directory);
    writeFileSync(join(directory, `file-${index}.ts`), `export const n = ${index};\n`);
  }
  writeFileSync(join(empty, 'src', 'one'), '');
  // Not so fresh that it has to be read again.
  await new Promise((resolve) => setTimeout(resolve, 100));
  const build = (context: string): string[] => ['--root', store, '-q', '-o', 'type=cacheonly', context];
  for (const context of [full, full, empty]) await must(tsbuild(build(context)));
  const times: Record<string, number[]> = { bare: [], full: [], empty: [] };
  for (let round = 0; round <= rounds; round += 1) {
    const bare = Number(spawnSync(process.execPath, ['-e', loop, full], { encoding: 'utf8' }).stdout);
    const one = timed(build(full));
    const other = timed(build(empty));
    // The first round warms the page cache.
    if (round === 0) continue;
    times['bare']?.push(bare);
    times['full']?.push(one);
    times['empty']?.push(other);
  }
  const of = (name: string): number => median(times[name] ?? []);
  return { bare: of('bare'), context: of('full') - of('empty') };
}

function timed(args: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [binary, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) throw new Error(`tsbuild ended with status ${status}: ${stderr.toString()}`);
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  const ordered = values.toSorted((a, b) => a - b);
  const middle = ordered.length / 2;
  return ((ordered[Math.floor(middle)] ?? 0) + (ordered[Math.ceil(middle) - 1] ?? 0)) / 2;
}
