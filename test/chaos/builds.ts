import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';

/** Of shared steps, below the two of each variant. */
export const sharedSteps = 4;

/**
 * Stamps a common file while it works, every few milliseconds, with a name that no other run of it has. What it writes to the layer depends on
 * nothing but its number.
 */
function stamping(number: string): string {
  const work = [
    'id=$(cat /proc/sys/kernel/random/uuid)',
    `stamp() { echo ${number} $id $(cut -d" " -f1 /proc/uptime) >>/stamps/log; }`,
    'stamp; i=0',
    `while [ $i -lt 8 ]; do i=$((i+1)); mkdir -p /work/${number}/$i; head -c 20000 /bin/busybox >/work/${number}/$i/f; sleep 0.02; stamp; done`,
  ];
  return `RUN --mount=type=cache,id=stamps,target=/stamps ${work.join('; ')}`;
}

/** Contexts of builds that share a stage and its steps, and have steps of their own. */
export function writeContexts(root: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => {
    const folder = join(root, `context-${index}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'same'), 'the same in all\n');
    writeFileSync(join(folder, 'own'), `only ${index}\n`);
    const shared = Array.from({ length: sharedSteps }, (__, number) => stamping(`shared-${number}`));
    const lines = [
      'FROM localhost/busybox AS shared',
      'ARG ROUND',
      'COPY same /same',
      ...shared,
      'FROM localhost/busybox',
      'ARG ROUND',
      `COPY own /own`,
      stamping(`own-${index}`),
      'COPY --from=shared /work /shared',
      `RUN --mount=type=bind,from=shared,source=/work,target=/from cp -r /from /copied`,
      '',
    ];
    writeFileSync(join(folder, 'Dockerfile'), lines.join('\n'));
    return folder;
  });
}

/** SOURCE_DATE_EPOCH makes images of different times comparable. */
export const env = { SOURCE_DATE_EPOCH: '1000000000', TSBUILD_GC: 'off' };

export function buildArgs(store: string, context: string, more: readonly string[] = []): readonly string[] {
  const name = `localhost/${context.slice(context.lastIndexOf('/') + 1)}`;
  return ['--root', store, '--network', 'none', '--progress', 'plain', ...more, '-t', name, context];
}

/** Digests of the images of a store, by name; those whose name has moved on are left out. */
export async function imagesOf(store: string): Promise<ReadonlyMap<string, string>> {
  const lines = await must(tsbuild(['images', '--root', store, '--format', 'json']));
  const images = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { Repository: string; Digest: string });
  const named = images.filter(({ Repository }) => Repository !== '<none>');
  return new Map(named.map(({ Repository, Digest }) => [Repository, Digest]));
}

/** A build in a process of its own; what it says is kept. */
export function startBuild(
  args: readonly string[],
  more: NodeJS.ProcessEnv = {},
): {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; text: string }>;
} {
  const child = spawn(process.execPath, [binary, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env, ...more },
  });
  let text = '';
  child.stderr.on('data', (data: Buffer) => (text += data.toString()));
  const ended = new Promise<{ code: number | null; text: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, text }));
  });
  return { child, ended };
}

/** One run of a step, from its first stamp to its last, in seconds of `uptime`. */
export interface StepRun {
  readonly step: string;
  readonly from: number;
  readonly to: number;
}

/** All runs of steps by what they have stamped, in the order in which they began. */
export function runsOf(store: string): readonly StepRun[] {
  const mounts = join(store, 'cache-mounts');
  const log = join(mounts, readdirSync(mounts)[0] ?? '', 'data/log');
  const runs = new Map<string, StepRun>();
  for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
    const [step = '', id = '', time] = line.split(' ');
    runs.set(id, { step, from: runs.get(id)?.from ?? Number(time), to: Number(time) });
  }
  return [...runs.values()];
}

/** Pairs of runs of one step that were at work at the same time. */
export function overlaps(runs: readonly StepRun[]): readonly (readonly [StepRun, StepRun])[] {
  return runs.flatMap((first, index) =>
    runs
      .slice(index + 1)
      .filter((other) => other.step === first.step && other.from < first.to && first.from < other.to)
      .map((other) => [first, other] as const),
  );
}

/** What is mounted below a directory. */
export function mountsBelow(root: string): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(root));
}

/** Builds each context by itself in a store of its own: the images that all other ways must give. */
export async function buildAlone(
  store: string,
  contexts: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  await makeBase(store, 'localhost/busybox', busyboxRootfs());
  for (const context of contexts)
    await must(tsbuild(buildArgs(store, context, ['--no-cache', '--build-arg', 'ROUND=alone']), { env }));
  return imagesOf(store);
}

/** Builds all at once, to the end, and looks whether store and images are as if nothing had happened before. */
export async function expectSound(
  store: string,
  contexts: readonly string[],
  images: ReadonlyMap<string, string>,
): Promise<void> {
  const args = ['--build-arg', 'ROUND=alone'];
  const results = await Promise.all(
    contexts.map((context) => startBuild(buildArgs(store, context, args)).ended),
  );
  expect(results.map(({ code, text }) => (code === 0 ? '' : text)).join('')).toBe('');
  expect(overlaps(runsOf(store))).toEqual([]);
  expect(await imagesOf(store)).toEqual(images);
  const checked = await tsbuild(['store', 'check', '--root', store]);
  expect(checked, checked.stdout).toMatchObject({ code: 0, stderr: '' });
  expect(checked.stdout).toMatch(/^sound: /);
  for (const folder of ['tmp', 'snapshots', 'leases']) expect(readdirSync(join(store, folder))).toEqual([]);
}

/** Kills it; false: it had ended before. */
export async function kill({ child, ended }: ReturnType<typeof startBuild>): Promise<boolean> {
  const alive = child.kill('SIGKILL');
  await ended;
  return alive;
}
