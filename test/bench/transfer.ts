// `node test/bench/transfer.ts`: push and pull of a 500 MB image to a registry on loopback, in turns with `skopeo copy` (the same OCI layout,
// digests verified by both) and `podman push` (from its own storage). Medians of five, of ten for pulls; then the peak memory with one layer of 2 GB.
// Ends with status 1 when a limit is missed. Needs docker-registry, skopeo, podman, GNU time, and 6 GB below the temporary directory.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { command, must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { startRegistry } from '../support/registry-server.ts';
import { findTool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { writeBigImage } from './transfer-image.ts';

const rounds = 5;
const memoryLimit = 200;

interface Run {
  readonly seconds: number;
  readonly mebibytes: number;
}

await main();

async function main(): Promise<void> {
  const lacking = ['docker-registry', 'skopeo', 'podman', 'time'].filter(
    (name) => findTool(name) === undefined,
  );
  if (lacking.length > 0) {
    say(`bench: this needs ${lacking.join(' and ')}`);
    process.exitCode = 1;
    return;
  }
  await using work = await tempFolder('bench-transfer');
  const store = join(work.path, 'store');
  const podman = ['--root', join(work.path, 'podman'), '--runroot', join(work.path, 'podman-run')];
  const engine = [...podman, '--storage-driver', 'vfs'];
  const big = 'localhost/big:1';
  const size = await writeBigImage(store, big, {
    ...{ layers: [300, 200, 100, 40], content: 'mixed' },
    compression: { type: 'gzip', level: 1 },
  });
  say(`image of ${(size / 1e6).toFixed(0)} MB in four layers`);
  try {
    {
      await using registry = await startRegistry();
      const name = `${registry.host}/bench/big:1`;
      await push('skopeo', { store, source: big, name, engine, work: work.path });
      await must(command('podman', [...engine, 'pull', '-q', '--tls-verify=false', name]));
    }
    const times: Record<string, Run[]> = {};
    for (let round = 0; round <= rounds; round += 1) {
      for (const pusher of ['tsbuild', 'skopeo', 'podman'] as const) {
        // An empty registry each time: nothing is there yet.
        await using registry = await startRegistry();
        const name = `${registry.host}/bench/big:1`;
        // The first round warms the page cache.
        const note = (what: string, run: Run): void => {
          if (round > 0) (times[what] ??= []).push(run);
        };
        note(`push ${pusher}`, await push(pusher, { store, source: big, name, engine, work: work.path }));
        if (pusher !== 'tsbuild') continue;
        // In turns, each before and after the other: where memory and disk come from differs from run to run.
        for (const puller of ['tsbuild', 'skopeo', 'skopeo', 'tsbuild'] as const) {
          note(`pull ${puller}`, await pull(puller, { name, work: work.path }));
        }
      }
    }
    for (const [what, runs] of Object.entries(times)) say(line(what, runs));
    for (const [ours, theirs] of [
      ['push tsbuild', 'push skopeo'],
      ['push tsbuild', 'push podman'],
      ['pull tsbuild', 'pull skopeo'],
    ] as const) {
      judge(`${ours} / ${theirs}`, seconds(times[ours]) / seconds(times[theirs]), 1);
    }
    for (const what of ['push tsbuild', 'pull tsbuild']) {
      judge(
        `${what}, MiB at its peak`,
        Math.max(...(times[what] ?? []).map((run) => run.mebibytes)),
        memoryLimit,
      );
    }
  } finally {
    await command('podman', [...engine, 'rmi', '--all', '--force']);
  }
  const sparse = 'localhost/sparse:1';
  await writeBigImage(store, sparse, { layers: [2048], content: 'sparse', compression: { type: 'none' } });
  await using registry = await startRegistry();
  const name = `${registry.host}/bench/sparse:1`;
  const pushed = await push('tsbuild', { store, source: sparse, name, engine, work: work.path });
  judge('push of a layer of 2 GB, MiB at its peak', pushed.mebibytes, memoryLimit);
  const pulled = await pull('tsbuild', { name, work: work.path });
  judge('pull of a layer of 2 GB, MiB at its peak', pulled.mebibytes, memoryLimit);
}

interface Push {
  readonly store: string;
  readonly source: string;
  readonly name: string;
  readonly engine: readonly string[];
  readonly work: string;
}

async function push(program: 'tsbuild' | 'skopeo' | 'podman', wanted: Push): Promise<Run> {
  const { store, source, name, engine, work } = wanted;
  switch (program) {
    case 'tsbuild':
      await must(tsbuild(['tag', '--root', store, source, name]));
      return timed(work, [process.execPath, binary, 'push', '-q', '--root', store, name]);
    case 'skopeo': {
      const from = `oci:${store}:${source}`;
      return timed(work, ['skopeo', 'copy', '-q', '--dest-tls-verify=false', from, `docker://${name}`]);
    }
    case 'podman': {
      const [id] = (await must(command('podman', [...engine, 'images', '-q']))).split('\n');
      const to = ['push', '-q', '--tls-verify=false', id ?? '', `docker://${name}`];
      return timed(work, ['podman', ...engine, ...to]);
    }
    default:
      throw new Error(`no such program: ${String(program)}`);
  }
}

async function pull(
  program: 'tsbuild' | 'skopeo',
  { name, work }: { name: string; work: string },
): Promise<Run> {
  const target = join(work, 'pulled');
  rmSync(target, { recursive: true, force: true });
  const run =
    program === 'tsbuild'
      ? await timed(work, [process.execPath, binary, 'pull', '-q', '--root', target, name])
      : await timed(work, [
          'skopeo',
          'copy',
          '-q',
          '--src-tls-verify=false',
          `docker://${name}`,
          `oci:${target}:1`,
        ]);
  rmSync(target, { recursive: true, force: true });
  return run;
}

async function timed(work: string, words: readonly string[]): Promise<Run> {
  mkdirSync(work, { recursive: true });
  // What the run before, or the registry, has yet to write is not this one's to wait for.
  await must(command('sync', []));
  const report = join(work, 'time');
  await must(command('time', ['-f', '%e %M', '-o', report, ...words], { timeout: 300_000 }));
  const [elapsed, kibibytes] = readFileSync(report, 'utf8').trim().split(' ').map(Number);
  return { seconds: elapsed ?? Number.NaN, mebibytes: (kibibytes ?? Number.NaN) / 1024 };
}

function seconds(runs: readonly Run[] = []): number {
  const ordered = runs.map((run) => run.seconds).toSorted((a, b) => a - b);
  return ordered[Math.floor(ordered.length / 2)] ?? Number.NaN;
}

function line(what: string, runs: readonly Run[]): string {
  const peak = Math.max(...runs.map((run) => run.mebibytes));
  return `${what.padEnd(44)} ${seconds(runs).toFixed(2).padStart(8)} s ${peak.toFixed(0).padStart(6)} MiB`;
}

function judge(what: string, value: number, limit: number): void {
  const good = value <= limit;
  if (!good) process.exitCode = 1;
  say(`${what.padEnd(44)} ${value.toFixed(2).padStart(8)}   ${good ? 'PASS' : 'FAIL'} (at most ${limit})`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
