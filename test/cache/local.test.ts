import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createLocalCache } from '../../src/cache/local.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { openStore } from '../../src/store/store.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';

const script = fileURLToPath(new URL('claim-step.ts', import.meta.url));
const key = digestOf('step');
const about = { opKey: digestOf('op'), inputs: [digestOf('input')], kind: 'exec', name: 'RUN x' } as const;
const signal = new AbortController().signal;

interface Result {
  readonly words: readonly string[];
}

async function open(root: string, isThere: () => boolean = () => true) {
  const store = await openStore(root);
  const cache = createLocalCache<Result>({
    store,
    encode: ({ words }) => words,
    decode: (data) => Promise.resolve(isThere() ? { words: data as string[] } : undefined),
  });
  return { store, cache };
}

describe('the local cache', () => {
  test('remembers results across opens', async () => {
    await using temp = await makeTempDir();
    const first = await open(temp.path);
    expect(await first.cache.lookup(key)).toBeUndefined();
    expect(await first.cache.near(about.opKey)).toBeUndefined();
    await first.cache.record(key, { words: ['a', 'b'] }, about);
    await first.store.close();
    const second = await open(temp.path);
    expect(await second.cache.lookup(key)).toEqual({ result: { words: ['a', 'b'] } });
    expect(await second.cache.near(about.opKey)).toMatchObject({ key, opKey: about.opKey, name: 'RUN x' });
    await second.store.close();
  });

  test('a result whose data is gone is a miss, and may be made again', async () => {
    await using temp = await makeTempDir();
    let isThere = true;
    const { store, cache } = await open(temp.path, () => isThere);
    await cache.record(key, { words: ['old'] }, about);
    isThere = false;
    expect(await cache.lookup(key)).toBeUndefined();
    const claim = await cache.claim(key, signal);
    if (!('lease' in claim)) throw new Error('a lease was expected');
    await cache.record(key, { words: ['new'] }, about);
    await claim.lease[Symbol.asyncDispose]();
    isThere = true;
    expect(await cache.claim(key, signal)).toEqual({ result: { words: ['new'] }, from: 'another build' });
    await store.close();
  });

  test('a look-up that fails leaves no lease behind', async () => {
    await using temp = await makeTempDir();
    const bad = await open(temp.path, () => {
      throw new RangeError('unreadable');
    });
    await bad.cache.record(key, { words: [] }, about);
    await expect(bad.cache.claim(key, signal)).rejects.toThrow(RangeError);
    const good = await open(temp.path);
    expect(await good.cache.claim(key, signal)).toMatchObject({ result: { words: [] } });
    await Promise.all([bad.store.close(), good.store.close()]);
  });
});

describe('several processes with the same step', () => {
  const run = promisify(execFile);
  const start = async (root: string, log: string, how = ''): Promise<string> =>
    (await run(process.execPath, [script, root, log, how])).stdout;

  test('one does it, the others take its result', async () => {
    await using temp = await makeTempDir();
    const log = join(temp.path, 'log');
    const outputs = await Promise.all([1, 2, 3].map(() => start(join(temp.path, 'store'), log)));
    const [pid = '', ...more] = readFileSync(log, 'utf8').trim().split('\n');
    expect(more).toEqual([]);
    expect(outputs.toSorted()).toEqual([`done by ${pid}`, `found by ${pid}`, `found by ${pid}`]);
  });

  test('when the one that does it is killed, another does', async () => {
    await using temp = await makeTempDir();
    const log = join(temp.path, 'log');
    const root = join(temp.path, 'store');
    await expect(start(root, log, 'die')).rejects.toMatchObject({ signal: 'SIGKILL' });
    expect(await start(root, log)).toMatch(/^done by /);
    expect(await start(root, log)).toMatch(/^found by /);
    expect(readFileSync(log, 'utf8').trim().split('\n')).toHaveLength(2);
  });
});
