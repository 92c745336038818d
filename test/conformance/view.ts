import { chmodSync, cpSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, tsbuild } from '../support/cli.ts';
import type { SystemCall } from '../support/elf.ts';
import { callProgram, callResults } from '../support/elf.ts';
import { projectRoot } from '../support/paths.ts';
import type { Bench } from './bench.ts';
import type { Peer } from './docker.ts';
import type { ViewComparison } from './view-differences.ts';
import { compareViews, idleDifferences } from './view-differences.ts';

// What a RUN step sees: `view/probe.sh` and a program that tries each system call run as steps of tsbuild's runtimes and of Docker, and
// what they found is compared line by line.

const folder = join(projectRoot, 'test/conformance/view');

/** A build whose steps look around. */
interface ViewBuild {
  readonly dockerfile: string;
  readonly args: readonly string[];
}

const secret = { id: 'word', value: 'Gb7qx0vWm2' } as const;

const builds: readonly ViewBuild[] = [
  { dockerfile: 'Dockerfile', args: [] },
  {
    dockerfile: 'limits.Dockerfile',
    args: [
      ...[
        '--ulimit',
        'nofile=321:654',
        '--ulimit',
        'core=0:0',
        '--ulimit',
        'fsize=1000000',
        '--ulimit',
        'nproc=777',
      ],
      ...[
        '--shm-size',
        '17m',
        '--add-host',
        'one:192.0.2.1',
        '--add-host',
        'six=[2001:db8::6]',
        '--add-host',
        'one:192.0.2.2',
      ],
    ],
  },
];

const runtimes = ['runc', 'embedded'] as const;

export interface ViewVerdict extends ViewComparison {
  /** `view-<step>-<runtime>` */
  readonly name: string;
  readonly against: string;
}

/** Runs all views. Without Docker the runtimes are compared with each other. */
export async function judgeViews(bench: Bench): Promise<readonly ViewVerdict[]> {
  const { docker } = bench.peers;
  const ours = new Map<string, Views>();
  for (const runtime of runtimes)
    ours.set(runtime, await viewsOf(bench, (build) => buildOurs(bench, build, runtime)));
  const reference =
    docker === undefined ? ours.get('runc') : await viewsOf(bench, (build) => buildTheirs(docker, build));
  if (reference === undefined) throw new TypeError('no views to compare with');
  const against = docker?.name ?? 'runc';
  const verdicts = runtimes.flatMap((runtime) =>
    [...reference].map(([step, theirs]): ViewVerdict => {
      const comparison = compareViews({ runtime, ours: ours.get(runtime)?.get(step) ?? [], theirs });
      return { name: `view-${step}-${runtime}`, against, ...comparison };
    }),
  );
  const idle =
    docker === undefined ? [] : idleDifferences(new Set(verdicts.flatMap(({ accepted }) => accepted)));
  return [...verdicts, { name: 'view-differences', against, lines: idle, accepted: [] }];
}

/** By step: the sorted lines. */
type Views = ReadonlyMap<string, readonly string[]>;

interface Prepared extends ViewBuild {
  readonly context: string;
  readonly secretFile: string;
  readonly destination: string;
}

async function viewsOf(bench: Bench, run: (build: Prepared) => Promise<void>): Promise<Views> {
  const views = new Map<string, readonly string[]>();
  for (const build of builds) {
    const context = join(bench.folder, 'view');
    const destination = join(bench.folder, 'view-out');
    const secretFile = join(bench.folder, 'view-secret');
    cpSync(folder, context, { recursive: true });
    // The modes of a checkout differ.
    for (const name of readdirSync(context)) chmodSync(join(context, name), 0o644);
    writeFileSync(join(context, 'host-namespaces'), hostNamespaces());
    writeFileSync(
      join(context, 'calls'),
      callProgram({ calls: allCalls.map(({ call }) => call), dryRun: true }),
    );
    chmodSync(join(context, 'calls'), 0o755);
    writeFileSync(secretFile, secret.value);
    try {
      await run({ ...build, context, destination, secretFile });
      for (const step of readdirSync(destination))
        views.set(step, linesOf(step, readFileSync(join(destination, step))));
    } finally {
      for (const path of [context, destination, secretFile]) rmSync(path, { recursive: true, force: true });
    }
  }
  return views;
}

function argumentsOf({ context, dockerfile, args, destination, secretFile }: Prepared): string[] {
  const where = ['-f', join(context, dockerfile), '-o', `type=local,dest=${destination}`];
  return [...where, '--no-cache', '--secret', `id=${secret.id},src=${secretFile}`, ...args];
}

async function buildOurs(bench: Bench, build: Prepared, runtime: string): Promise<void> {
  const rights = ['--network=host', '--allow', 'secret.leak'];
  const flags = ['--root', bench.store, '--progress', 'plain', '--runtime', runtime, ...rights];
  await must(tsbuild(['build', ...flags, ...argumentsOf(build), build.context]));
}

async function buildTheirs(docker: Peer, build: Prepared): Promise<void> {
  await docker.build(build.context, 'localhost/view', argumentsOf(build));
}

function hostNamespaces(): string {
  const links = readdirSync('/proc/self/ns').map(
    (name) => `${name} ${readlinkSync(`/proc/self/ns/${name}`)}\n`,
  );
  return links.join('');
}

interface NamedCall {
  readonly name: string;
  readonly call: SystemCall;
}

/** Each number, and those that filters judge by their first argument. Two numbers belong to the kernel's own trampolines: no filter sees them. */
const allCalls: readonly NamedCall[] = (() => {
  const X32_BIT = 0x4000_0000;
  const calls: NamedCall[] = [];
  const ways = [
    { way: 'x64', abi: 'x64', bit: 0, clone: 56, socket: 41, personality: 135 },
    { way: 'x32', abi: 'x64', bit: X32_BIT, clone: 56, socket: 41, personality: 135 },
    { way: 'x86', abi: 'x86', bit: 0, clone: 120, socket: 359, personality: 136 },
  ] as const;
  for (const { way, abi, bit, clone, socket, personality } of ways) {
    const add = (number: number, argument?: bigint): void => {
      const name = `call ${way} ${number}${argument === undefined ? '' : ` with ${argument}`}`;
      calls.push({
        name,
        call: { abi, number: number + bit, args: argument === undefined ? [] : [argument] },
      });
    };
    const [uretprobe, uprobe] = [335, 336];
    for (let number = 0; number < 600; number += 1) {
      if (way !== 'x64' || (number !== uretprobe && number !== uprobe)) add(number);
    }
    for (let bits = 0n; bits < 64n; bits += 1n) add(clone, 1n << bits);
    for (let family = 0n; family < 64n; family += 1n) add(socket, family);
    for (const value of [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn, 1n, 2n, 0x40000n, 0x10000n, 0x400000n])
      add(personality, value);
  }
  return calls;
})();

function linesOf(step: string, content: Buffer): string[] {
  if (step !== 'calls') return content.toString().replaceAll(secret.value, '(secret)').trimEnd().split('\n');
  const results = callResults(content);
  const EPERM = 1;
  return allCalls.map(({ name }, index) => `${name}: ${results[index] === -EPERM ? 'EPERM' : 'not EPERM'}`);
}
