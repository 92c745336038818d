import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

const line = '0123456789'.repeat(10);
const size = 64 * 1024 * 1024;

interface Seen {
  readonly code: number | null;
  readonly text: string;
  /** Bytes of the log's own lines. */
  readonly logged: number;
  /** Highest resident set of the process, in bytes. */
  readonly memory: number;
}

/** Runs the command and reads its stderr slowly: for the first second hardly at all. */
async function readSlowly(args: readonly string[]): Promise<Seen> {
  const child = spawn(process.execPath, [binary, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let pauses = 0;
  let logged = 0;
  let memory = 0;
  let text = '';
  let rest = '';
  const look = (): void => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      memory = Math.max(memory, Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024);
    } catch {
      // It has just ended.
    }
  };
  const timer = setInterval(look, 20);
  child.stderr.setEncoding('utf8').on('data', (data: string) => {
    if (pauses < 40) {
      pauses += 1;
      child.stderr.pause();
      setTimeout(() => child.stderr.resume(), 25);
    }
    const lines = (rest + data).split('\n');
    rest = lines.pop() ?? '';
    for (const each of lines) {
      if (each.endsWith(line)) logged += line.length + 1;
      else text += `${each}\n`;
    }
  });
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  clearInterval(timer);
  return { code, text: text + rest, logged, memory };
}

suite('a reader slower than a step', ['root', tool('busybox', 'busybox-static')], () => {
  let work: TempFolder;
  let store: string;
  beforeAll(async () => {
    work = await tempFolder('slow-reader');
    store = join(work.path, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
  });
  afterAll(() => work[Symbol.asyncDispose]());

  function say(bytes: number, mode: string): Promise<Seen> {
    const context = join(work.path, `context-${bytes}`);
    mkdirSync(context, { recursive: true });
    writeFileSync(
      join(context, 'Dockerfile'),
      `FROM localhost/busybox\nRUN yes ${line} | head -c ${bytes - (bytes % (line.length + 1))}\n`,
    );
    return readSlowly(['--root', store, '--progress', mode, '--no-cache', context]);
  }

  test('does not make the memory grow, and gets every line, the last ones too', async () => {
    const small = await say(64 * 1024, 'plain');
    const large = await say(size, 'plain');
    expect([small.code, large.code]).toEqual([0, 0]);
    expect(large.logged).toBe(size - (size % (line.length + 1)));
    expect(large.text).toMatch(/\n digest {2}sha256:[0-9a-f]{64}\n/);
    expect(large.memory - small.memory).toBeLessThan(size);
  });

  test('nor with events as JSON', async () => {
    const small = await say(64 * 1024, 'rawjson');
    const { code, memory, text } = await say(size, 'rawjson');
    expect(code).toBe(0);
    expect(memory - small.memory).toBeLessThan(size);
    const logged = text.split('\n').reduce((sum, each) => {
      if (each === '') return sum;
      const { logs = [] } = JSON.parse(each) as { logs?: { data: string }[] };
      return logs.reduce((total, { data }) => total + Buffer.byteLength(data, 'base64'), sum);
    }, 0);
    expect(logged).toBe(size - (size % (line.length + 1)));
  });
});
