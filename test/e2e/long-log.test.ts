import { spawn } from 'node:child_process';
import {
  createReadStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const line = '0123456789'.repeat(10);
const gigabyte = 1_000_000_000;
const MiB = 1024 * 1024;

/** The highest resident set of a process, seen until it ends. Bytes. */
async function peakOf(
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly peak: number }> {
  const child = spawn(process.execPath, [binary, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.resume();
  let peak = 0;
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      peak = Math.max(peak, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024);
    } catch {
      // It has just ended.
    }
  }, 20);
  const code = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  clearInterval(timer);
  return { code, peak };
}

suite('the log of a step', ['root', tool('busybox', 'busybox-static')], () => {
  test('of a gigabyte passes through in bounded memory, and is complete in the log file', async () => {
    await using work = await tempFolder('long-log');
    const store = join(work.path, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
    const context = join(work.path, 'context');
    mkdirSync(context);
    const lines = Math.floor(gigabyte / (line.length + 1));
    const text = `FROM localhost/busybox\nRUN yes ${line} | head -n ${lines}; echo the end\n`;
    writeFileSync(join(context, 'Dockerfile'), text);
    const log = join(work.path, 'log');
    const { code, peak } = await peakOf(['--root', store, '--logfile', log, '-o', 'type=cacheonly', context]);
    expect(code).toBe(0);
    expect(peak).toBeLessThan(150 * MiB);
    let bytes = 0;
    let rest = '';
    const whole = new RegExp(`^#\\d+ \\d+\\.\\d{3} ${line}$`);
    const others: string[] = [];
    for await (const chunk of createReadStream(log, { encoding: 'latin1', highWaterMark: 4 * MiB })) {
      const parts = (rest + String(chunk)).split('\n');
      rest = parts.pop() ?? '';
      for (const each of parts) {
        if (whole.test(each)) bytes += line.length + 1;
        else if (/^#\d+ \d/.test(each)) others.push(each);
      }
    }
    expect(bytes).toBe(lines * (line.length + 1));
    expect(others).toEqual([expect.stringMatching(/^#\d+ \d+\.\d{3} the end$/)]);
  });

  test('is written beside every kind of progress, with the error of a build that fails', async () => {
    await using work = await tempFolder('log-file');
    writeFileSync(join(work.path, 'Dockerfile'), 'FROM scratch\nCOPY nothing /\n');
    const log = join(work.path, 'log');
    for (const mode of ['plain', 'rawjson', 'none']) {
      await tsbuild(['--root', join(work.path, 'store'), '--progress', mode, '--logfile', log, work.path]);
      expect(readFileSync(log, 'utf8'), mode).toMatch(
        /^#1 \[internal\] load build definition[^]*\nerror\[COPY_SOURCE_MISSING\]: /,
      );
    }
    const nowhere = join(work.path, 'no/such/log');
    const { code, stderr } = await tsbuild(['--logfile', nowhere, work.path]);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^error\[OUTPUT_FAILED\]: cannot write the log file /),
    ]);
  });
});

suite('a time limit', ['root', tool('busybox', 'busybox-static')], () => {
  test('ends the build with all that runs, and names the step and its line', async () => {
    await using work = await tempFolder('timeout');
    const store = join(work.path, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
    writeFileSync(join(work.path, 'Dockerfile'), 'FROM localhost/busybox\nRUN true\n');
    // The runtime is looked for once: not in the time that is measured.
    await must(tsbuild(['--root', store, work.path]));
    writeFileSync(join(work.path, 'Dockerfile'), 'FROM localhost/busybox\nRUN sleep 654321 & sleep 654321\n');
    const { code, stderr } = await tsbuild(['--root', store, '--timeout', '4.5s', work.path]);
    expect(code).toBe(1);
    expect(stderr).toContain('error[TIMEOUT]: the build was not done in 4.5 s');
    expect(stderr).toContain('Dockerfile:2:1');
    expect(stderr).toContain('hint: still running: [2/2] RUN sleep 654321 & sleep 654321');
    expect((await tsbuild(['--timeout', '5 minutes', work.path])).stderr).toMatch(
      /^error\[USAGE\]: .*no duration/,
    );
    expect(
      (await tsbuild(['--root', store, '--timeout', '1h', '--target', 'none', work.path])).stderr,
    ).not.toContain('TIMEOUT');
  });
});

suite('a log that lies in the context', ['linux'], () => {
  test('is no part of it: COPY . does not read what it writes, and is cached the next time', async () => {
    await using work = await tempFolder('log-in-context');
    const [context, store] = [join(work.path, 'context'), join(work.path, 'store')];
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY . /all/\n');
    writeFileSync(join(context, 'file'), 'x');
    symlinkSync(context, join(work.path, 'link'));
    const words = (more: string): string =>
      `exec "$0" "$1" --root "${store}" ${more} "${join(work.path, 'link')}" >"${context}/build.log" 2>&1`;
    const run = (more: string): Promise<CommandResult> =>
      command('sh', ['-c', words(more), process.execPath, binary]);
    const out = join(work.path, 'out');
    expect(await run(`--progress plain -o type=local,dest=${out}`)).toMatchObject({ code: 0 });
    expect(readdirSync(join(out, 'all')).toSorted()).toEqual(['Dockerfile', 'file']);
    expect(await run('--progress plain')).toMatchObject({ code: 0 });
    expect(readFileSync(join(context, 'build.log'), 'utf8')).toMatch(/^#\d+ CACHED$/m);
    const log = ['--logfile', join(context, 'whole.log'), '--progress', 'rawjson'];
    expect(await tsbuild(['--root', store, '--no-cache', ...log, context])).toMatchObject({ code: 0 });
  });
});

test('a store that lies in the context is no part of it', async () => {
  await using work = await tempFolder('store-in-context');
  const context = work.path;
  const store = join(context, 'cache/store');
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY . /all/\n');
  const out = join(context, '..', `${basename(context)}-out`);
  try {
    for (const [text, isCached] of [
      ['1', false],
      ['2', false],
      ['2', true],
    ] as const) {
      writeFileSync(join(context, 'file'), text);
      const words = ['--root', store, '--progress', 'plain', '-o', `type=local,dest=${out}`, context];
      const { code, stderr } = await tsbuild(words);
      expect(code, stderr).toBe(0);
      expect(readdirSync(join(out, 'all')).toSorted()).toEqual(['Dockerfile', 'cache', 'file']);
      expect(readdirSync(join(out, 'all/cache'))).toEqual([]);
      expect(readFileSync(join(out, 'all/file'), 'utf8')).toBe(text);
      expect(/^#\d+ CACHED$/m.test(stderr)).toBe(isCached);
    }
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
