// `npm run bench`: how long a fully cached build takes, against the start of the same Node, and how long a long Dockerfile takes,
// against dockerfile-ast alone, and a RUN step, against `runc run`, and a cached build with a large store, against
// one with an empty store, and what a context of 20,000 unchanged files costs, against a bare look at each, and a build that
// pushes, against one that is pushed afterwards. `-- --quick` leaves out what takes long. Ends with status 1 when a limit is missed. On a busy machine run it again: the medians of ten are compared, not single runs.
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { writeBigBuild } from '../support/big-build.ts';
import { must, tsbuild } from '../support/cli.ts';
import { binary, examples } from '../support/paths.ts';
import { startRegistry } from '../support/registry-server.ts';
import { findTool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { benchContext } from './context.ts';
import { benchEarlyPush } from './early-push.ts';
import { benchFrontend } from './frontend.ts';
import { benchStep } from './step.ts';
import { benchStore } from './store.ts';

// What takes seconds: what runs with each check of a change.
const isQuick = process.argv.includes('--quick');
const rounds = isQuick ? 5 : 10;

await main();

async function main(): Promise<void> {
  const { ast, ours } = await benchFrontend(40);
  report('parsing and lowering 1,000 lines', ours / ast, { of: 'dockerfile-ast', limit: 3 });
  await using work = await tempFolder('bench');
  const lacking = ['docker-registry', 'busybox', 'runc'].filter((name) => findTool(name) === undefined);
  if (lacking.length > 0) {
    say(`bench: this needs ${lacking.join(' and ')}`);
    process.exitCode = 1;
    return;
  }
  await using registry = await startRegistry();
  if (!isQuick) await measureLarge();
  const store = join(work.path, 'store');
  const context = join(work.path, 'context');
  mkdirSync(context);
  const base = `${registry.host}/base/busybox:1`;
  await makeBase(join(work.path, 'seed'), base, busyboxRootfs());
  await must(tsbuild(['push', '--root', join(work.path, 'seed'), base]));
  writeBigBuild(context, base);
  const big = ['--root', store, '-q', '-t', 'localhost/big', context];
  const small = ['--root', store, '-q', '-t', 'localhost/static', join(examples, 'static')];
  const first = performance.now();
  await must(tsbuild(big));
  say(
    `first build: 20 instructions, 3 stages, 500 files   ${(performance.now() - first).toFixed(0).padStart(6)} ms`,
  );
  await must(tsbuild(small));

  // Taken in turns, so that a slow moment of the machine hits all alike.
  const programs: Readonly<Record<string, readonly string[]>> = {
    node: ['-e', '0'],
    version: [binary, 'version'],
    big: [binary, ...big],
    small: [binary, ...small],
  };
  const times: Record<string, number[]> = {};
  for (let round = 0; round <= rounds; round++) {
    for (const [name, args] of Object.entries(programs)) {
      const start = performance.now();
      const { status } = spawnSync(process.execPath, args, { stdio: 'ignore' });
      if (status !== 0) throw new Error(`${name} ended with status ${status}`);
      // The first round warms the page cache and Node's compile cache.
      if (round > 0) (times[name] ??= []).push(performance.now() - start);
    }
  }
  const node = median(times['node'] ?? []);
  say(`node -e 0                                           ${node.toFixed(0).padStart(6)} ms`);
  report('tsbuild version', median(times['version'] ?? []) / node, { of: 'node -e 0' });
  report('cached build of examples/static', median(times['small'] ?? []) / node, { of: 'node -e 0' });
  report('cached build: 20 instructions, 3 stages, 500 files', median(times['big'] ?? []) / node, {
    of: 'node -e 0',
    limit: 4,
  });
}

/** What takes half a minute and more. */
async function measureLarge(): Promise<void> {
  const step = await benchStep(5);
  say(`runc run of a step's own bundle                     ${step.bare.toFixed(0).padStart(6)} ms`);
  report('one RUN step of 40, runc', step.runc / step.bare, { of: 'runc run', limit: 1.5 });
  report('one RUN step of 40, embedded', step.embedded / step.bare, { of: 'runc run', limit: 2.5 });
  const { empty, full } = await benchStore(rounds);
  report('cached build: 100,000 records, 50 GB of layers', full / empty, {
    of: 'an empty store',
    limit: 1.2,
  });
  const files = await benchContext(rounds);
  say(`readdirSync and lstatSync of 20,000 files           ${files.bare.toFixed(0).padStart(6)} ms`);
  report('20,000 unchanged files of a context', files.context / files.bare, { of: 'that loop', limit: 1.5 });
  const push = await benchEarlyPush(3);
  say(`build, then push: a large layer, then sleep 3       ${push.apart.toFixed(0).padStart(6)} ms`);
  report('build --push of the same', push.together / push.apart, { of: 'build, then push', limit: 1 });
  // A program of its own, which judges by itself.
  await import('./transfer.ts');
}

function report(name: string, ratio: number, { of, limit }: { of: string; limit?: number }): void {
  const verdict =
    limit === undefined ? '' : ratio <= limit ? `PASS (at most ${limit})` : `FAIL (at most ${limit})`;
  if (verdict.startsWith('FAIL')) process.exitCode = 1;
  say(`${name.padEnd(52)} ${ratio.toFixed(2).padStart(5)} times ${of.padEnd(14)}   ${verdict}`);
}

function median(values: readonly number[]): number {
  const ordered = values.toSorted((a, b) => a - b);
  const middle = ordered.length / 2;
  return ((ordered[Math.floor(middle)] ?? 0) + (ordered[Math.ceil(middle) - 1] ?? 0)) / 2;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
