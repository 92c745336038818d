import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { requireTool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const STEPS = 40;

/** Milliseconds; medians of runs that are taken in turns. */
export interface StepTimes {
  /** `runc run` of a step's own config.json and root filesystem. */
  readonly bare: number;
  /** One of 40 RUN steps of a build, all that belongs to it included. */
  readonly runc: number;
  readonly embedded: number;
}

/** Measures one trivial RUN step against the bare runtime. Needs root and runc. */
export async function benchStep(rounds: number): Promise<StepTimes> {
  await using work = await tempFolder('bench-step');
  const store = join(work.path, 'store');
  await makeBase(store, 'localhost/busybox', busyboxRootfs());
  const build = (steps: number, runtime: string): readonly string[] => {
    const folder = join(work.path, String(steps));
    mkdirSync(folder, { recursive: true });
    const lines = Array.from({ length: steps }, (_, index) => `RUN echo ${index} >/file-${index}`);
    writeFileSync(join(folder, 'Dockerfile'), ['FROM localhost/busybox', ...lines, ''].join('\n'));
    const how = ['--no-cache', '--network', 'none', '-o', 'type=cacheonly', '-q', '--runtime', runtime];
    return [binary, '--root', store, ...how, folder];
  };
  const bundle = await takeBundle(work.path, store);
  const bare: number[] = [];
  const steps: Record<string, number[]> = { runc: [], embedded: [] };
  for (let round = 0; round <= rounds; round += 1) {
    const some = Array.from({ length: 5 }, (_, index) =>
      timed('runc', ['run', '--bundle', bundle, `tsbuild-bench-${process.pid}-${round}-${index}`]),
    );
    // The first round makes the trial of the runtimes, and warms caches.
    if (round > 0) bare.push(...some);
    for (const runtime of ['runc', 'embedded']) {
      const all = timed(process.execPath, build(STEPS, runtime));
      const none = timed(process.execPath, build(0, runtime));
      if (round > 0) steps[runtime]?.push((all - none) / STEPS);
    }
  }
  return { bare: median(bare), runc: median(steps['runc'] ?? []), embedded: median(steps['embedded'] ?? []) };
}

/** A bundle as tsbuild hands it to runc: a program that stands for runc keeps what it gets. */
async function takeBundle(work: string, store: string): Promise<string> {
  const bundle = join(work, 'bundle');
  const program = join(work, 'runc-that-copies');
  const copy = `if [ "\${7-}" = run ] && ! [ -e ${bundle} ]; then cp -a "$9" ${bundle}; fi`;
  writeFileSync(program, `#!/bin/sh\n${copy}\nexec ${requireTool('runc')} "$@"\n`, { mode: 0o755 });
  const folder = join(work, 'one');
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), 'FROM localhost/busybox\nRUN echo 1 >/file\n');
  const how = ['--network', 'none', '-o', 'type=cacheonly', '--no-cache', '--runtime', program];
  // The first bundle is that of the runtime's trial.
  for (let round = 0; round < 2; round += 1) {
    rmSync(bundle, { recursive: true, force: true });
    await must(tsbuild(['--root', store, ...how, folder]));
  }
  const config = join(bundle, 'config.json');
  const spec = JSON.parse(readFileSync(config, 'utf8')) as {
    root: { path: string };
    mounts: { type: string; source: string }[];
  };
  spec.root.path = join(work, 'rootfs');
  mkdirSync(spec.root.path);
  await must(command('tar', ['-xf', busyboxRootfs(), '-C', spec.root.path]));
  for (const mount of spec.mounts)
    if (mount.type === 'bind') mount.source = join(bundle, basename(mount.source));
  writeFileSync(config, JSON.stringify(spec));
  return bundle;
}

function timed(program: string, args: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  if (status !== 0) throw new Error(`${program} ended with status ${status}: ${stderr.toString()}`);
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
