import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { tempFolder } from '../support/temp.ts';

const records = 100_000;
const layers = 5000;
/** Of each layer; without blocks on the disk. 50 GB in all. */
const layerBytes = 10_000_000;

/** Milliseconds; medians of builds that are taken in turns. */
export interface StoreTimes {
  /** A fully cached build with a store that holds nothing else. */
  readonly empty: number;
  /** The same build with 100,000 records and 50 GB of layers and blobs beside it. */
  readonly full: number;
}

/** Measures what a large store costs a build that finds everything in it. Needs root and busybox. */
export async function benchStore(rounds: number): Promise<StoreTimes> {
  await using work = await tempFolder('bench-store');
  const context = join(work.path, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'file'), 'x');
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM localhost/busybox\nCOPY file /file\nRUN echo 1 >/one\nRUN echo 2 >/two\n',
  );
  const stores = { empty: join(work.path, 'empty'), full: join(work.path, 'full') };
  const build = (store: string): readonly string[] => ['--root', store, '-q', '-t', 'localhost/b', context];
  for (const store of Object.values(stores)) {
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
    await must(tsbuild(build(store)));
  }
  fill(stores.full);
  const times: Record<keyof StoreTimes, number[]> = { empty: [], full: [] };
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of ['empty', 'full'] as const) {
      const start = performance.now();
      const { status, stderr } = spawnSync(process.execPath, [binary, ...build(stores[name])]);
      if (status !== 0) throw new Error(`ended with status ${status}: ${stderr.toString()}`);
      // The first round warms caches.
      if (round > 0) times[name].push(performance.now() - start);
    }
  }
  return { empty: median(times.empty), full: median(times.full) };
}

/** As many builds of other images would have left it. */
function fill(store: string): void {
  const index = readdirSync(store).find((name) => /^state-v\d+\.\d+\.db$/.test(name));
  if (index === undefined) throw new Error('the store has no index');
  const diffIds = Array.from({ length: layers }, (_, number) => hash(`layer ${number}`));
  for (const [number, diffId] of diffIds.entries()) {
    const home = join(store, 'layers', diffId);
    mkdirSync(join(home, 'fs'), { recursive: true });
    sparse(join(home, 'fs/file'));
    // Every tenth is there as a blob too, and as the lease of a build that was killed.
    if (number % 10 === 0) {
      sparse(join(store, 'blobs/sha256', hash(`blob ${number}`)));
      writeFileSync(join(store, 'leases', diffId), '');
    }
  }
  using db = new DatabaseSync(join(store, index));
  const columns = db
    .prepare('SELECT name FROM pragma_table_info(?)')
    .all('cache_record')
    .map(({ name }) => String(name));
  const of = (number: number): Readonly<Record<string, string | number>> => ({
    key: `sha256:${hash(`key ${number}`)}`,
    op_key: `sha256:${hash(`op ${number % 20_000}`)}`,
    inputs: JSON.stringify([`sha256:${hash(`input ${number}`)}`]),
    kind: 'exec',
    place: hash(`place ${number % 5000}`),
    name: `[stage 3/9] RUN make target-${number}`,
    result: JSON.stringify(
      Array.from({ length: 8 }, (_, place) => [
        `sha256:${diffIds[(number + place) % layers]}`,
        '2026-01-01T00:00:00Z',
      ]),
    ),
    components: '',
    created_at: 1_700_000_000_000 + number,
    last_used: 1_700_000_000_000 + number,
    uses: 1,
  });
  const put = db.prepare(
    `INSERT INTO cache_record (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
  );
  db.exec('BEGIN');
  for (let number = 0; number < records; number += 1) {
    const row = of(number);
    put.run(...columns.map((name) => row[name] ?? ''));
  }
  db.exec('COMMIT');
}

function sparse(path: string): void {
  const fd = openSync(path, 'wx');
  ftruncateSync(fd, layerBytes);
  closeSync(fd);
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
