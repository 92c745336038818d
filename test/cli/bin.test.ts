import { spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { projectRoot } from '../support/paths.ts';

// A copy of the launcher beside the sources alone: it runs them as they are, whatever has been built.
let folder: string;
let launcher: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-bin-'));
  for (const name of ['bin', 'path']) mkdirSync(join(folder, name));
  launcher = join(folder, 'bin/tsbuild.js');
  copyFileSync(join(projectRoot, 'bin/tsbuild.js'), launcher);
  copyFileSync(join(projectRoot, 'bin/older-node.js'), join(folder, 'bin/older-node.js'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  symlinkSync(join(projectRoot, 'src'), join(folder, 'src'));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes this Node say that it is version 14. */
const asOldNode = [
  '--import',
  `data:text/javascript,${encodeURIComponent("Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '14.21.3' } })")}`,
];

function launch(
  args: readonly string[],
  {
    node = [],
    interrupt = false,
    keepStdin = false,
    stdout: target = 'pipe',
  }: { node?: readonly string[]; interrupt?: boolean; keepStdin?: boolean; stdout?: 'pipe' | number } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...node, launcher, ...args], {
      env: { PATH: join(folder, 'path'), HOME: folder },
      stdio: [keepStdin ? 'pipe' : 'ignore', target, 'pipe'],
      timeout: 60_000,
    });
    let [stdout, stderr] = ['', ''];
    child.stdout?.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr?.on('data', (data: Buffer) => (stderr += data.toString()));
    if (interrupt) void whenItReads(child.pid ?? 0).then(() => child.kill('SIGINT'));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Until the process, or one that it has started, waits for what comes on stdin. */
async function whenItReads(pid: number): Promise<void> {
  if (process.platform !== 'linux') return sleep(3000);
  while (!reads(pid)) await sleep(20);
}

function reads(pid: number): boolean {
  try {
    // What a process waits for by epoll stands where its descriptors are described (proc_pid_fdinfo(5)).
    const waits = readdirSync(`/proc/${pid}/fdinfo`).some((fd) =>
      /^tfd: +0 /m.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')),
    );
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return waits || children.split(' ').some((child) => child !== '' && reads(Number(child)));
  } catch {
    // A descriptor, or the process, that has just gone.
    return false;
  }
}

/** Puts this Node, or a program that says it is version 18, on the launcher's PATH. */
function onPath(name: string, old = false): void {
  const file = join(folder, 'path', name);
  if (!old) return symlinkSync(process.execPath, file);
  writeFileSync(file, '#!/bin/sh\necho v18.0.0\n');
  chmodSync(file, 0o755);
}

describe('the launcher', () => {
  test('runs the command, and passes its status', async () => {
    expect(await launch(['--no-such-flag', '.'])).toMatchObject({ code: 2, stdout: '' });
    expect((await launch(['--help'])).stdout).toMatch(/^Usage: tsbuild/);
  });

  test.runIf(process.platform === 'linux')('tells that stdout could not be written', async () => {
    const stdout = openSync('/dev/full', 'r+');
    try {
      const ended = await launch(['--help'], { stdout });
      expect(ended.stderr).toMatch(/^error\[OUTPUT_FAILED\]: stdout cannot be written: ENOSPC/);
      expect(ended.code).toBe(1);
    } finally {
      closeSync(stdout);
    }
  });

  test('under an old Node runs itself again under a newer one of PATH', async () => {
    onPath('node', true);
    onPath('node-24');
    const old = await launch(['--help'], { node: asOldNode });
    expect(old).toMatchObject({ code: 0, stderr: '' });
    expect(old.stdout).toMatch(/^Usage: tsbuild/);
    expect((await launch(['--no-such-flag', '.'], { node: asOldNode })).code).toBe(2);
  });

  test('an interrupt ends a command that waits, once through the launcher', async () => {
    onPath('node-24');
    const argv = ['login', '-u', 'me', '--password-stdin'];
    for (const node of [[], asOldNode]) {
      const ended = await launch(argv, { node, interrupt: true, keepStdin: true });
      expect(ended.stderr).toContain('error[INTERRUPTED]');
      expect(ended.code).toBe(130);
    }
  });
});
