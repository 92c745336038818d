import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { digestHex, digestOf } from '../../src/oci/digest.ts';
import { openLeases } from '../../src/store/leases.ts';
import { lockFile, tryLockFile } from '../../src/store/lock.ts';
import { openStore } from '../../src/store/store.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';

const script = fileURLToPath(new URL('hold-lock.ts', import.meta.url));
const key = digestOf('key');

/** Starts a process that holds something; resolves once it does. */
async function holder(...args: readonly string[]): Promise<{ child: ChildProcess; held: string }> {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, held: line.toString().replace('held', '').trim() };
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

test('a lock is held by one at a time, within a process too', async () => {
  await using temp = await makeTempDir();
  const path = join(temp.path, 'lock');
  const first = await lockFile(path);
  expect(tryLockFile(path)).toBeUndefined();
  let entered = false;
  const second = lockFile(path).then((lock) => {
    entered = true;
    return lock;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(entered).toBe(false);
  first.release();
  first.release();
  (await second).release();
  expect(entered).toBe(true);
});

test('a lock ends with its process, also by kill -9', async () => {
  await using temp = await makeTempDir();
  const path = join(temp.path, 'lock');
  const { child } = await holder('lock', path);
  expect(tryLockFile(path)).toBeUndefined();
  await killed(child);
  const lock = tryLockFile(path);
  expect(lock).toBeDefined();
  lock?.release();
});

test('a lease is waited for until its process is killed', async () => {
  await using temp = await makeTempDir();
  const { child } = await holder('lease', temp.path, key);
  const waiting = openLeases(temp.path).acquire(key);
  await killed(child);
  (await waiting).release();
  expect(existsSync(join(temp.path, 'leases', digestHex(key)))).toBe(false);
});

test('waiting for a lease ends with the signal', async () => {
  await using temp = await makeTempDir();
  const leases = openLeases(temp.path);
  const lease = await leases.acquire(key);
  const reason = new Error('enough');
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 10);
  await expect(leases.acquire(key, controller.signal)).rejects.toBe(reason);
  lease.release();
});

test('leases that come and go are never held twice, although their files are removed', async () => {
  await using temp = await makeTempDir();
  const leases = openLeases(temp.path);
  let inside = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let round = 0; round < 5; round++) {
        const lease = await leases.acquire(key);
        expect(++inside).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        inside--;
        lease.release();
      }
    }),
  );
  expect(readdirSync(join(temp.path, 'leases'))).toEqual([]);
});

test('the temporary directory of a killed process is removed by the next, that of a living one is not', async () => {
  await using temp = await makeTempDir();
  const [dead, living] = await Promise.all([holder('temp', temp.path), holder('temp', temp.path)]);
  await killed(dead.child);
  await using store = await openStore(temp.path);
  await store.tempDir();
  expect([existsSync(dead.held), existsSync(living.held)]).toEqual([false, true]);
  await killed(living.child);
});
