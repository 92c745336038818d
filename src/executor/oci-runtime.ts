import { execFile } from 'node:child_process';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import type { Runtime } from './runtime.ts';

/** The programs that are looked for, best first. */
export const ociRuntimeNames: readonly string[] = ['crun', 'runc', 'youki'];

/** A runtime program of the host. `options` come before its command: they are what made it work here. */
export function ociRuntime(program: string, options: readonly string[] = []): Runtime {
  const name = ociRuntimeNames.includes(basename(program)) ? basename(program) : program;
  return {
    name,
    makesTerminal: true,
    // They see to it themselves: what becomes the step is a copy of them.
    sealed: [],
    namespaces: () => [],
    command: ({ directory, id, log, state }) => [
      program,
      ...options,
      ...['--log', log, '--log-format', 'json', '--root', state],
      ...['run', '--bundle', directory, id],
    ],
  };
}

/** Options with which a runtime is tried, in this order; the second ignores cgroups that cannot be written. */
export function runtimeVariants(program: string): readonly (readonly string[])[] {
  return basename(program) === 'runc' ? [[], ['--rootless=true']] : [[]];
}

/** `major.minor.patch` of a runtime; undefined when it does not say. */
export async function runtimeVersion(program: string, path: string): Promise<string | undefined> {
  try {
    const options = { env: { PATH: path, LC_ALL: 'C' }, timeout: 5000, maxBuffer: 65_536 };
    const { stdout } = await promisify(execFile)(program, ['--version'], options);
    return /(\d+\.\d+(?:\.\d+)?)/.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

interface Floor {
  /** By `major.minor`; versions of a later line are safe, of an earlier one are not. */
  readonly lines: Readonly<Record<string, number>>;
  readonly reason: string;
}

// S-P-8
const floors: Readonly<Record<string, Floor>> = {
  runc: {
    lines: { '1.2': 8, '1.3': 6, '1.4': 3 },
    reason: 'CVE-2025-31133, CVE-2025-52565, CVE-2025-52881, CVE-2026-41579',
  },
  crun: { lines: { '1.20': 0 }, reason: 'CVE-2025-24965' },
};

/** Why a version is not safe: the holes that it has. undefined: it is safe, or nothing is known about it. */
export function knownHoles(program: string, version: string | undefined): string | undefined {
  const floor = floors[basename(program)];
  if (floor === undefined || version === undefined) return undefined;
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const least = floor.lines[`${major}.${minor}`];
  if (least !== undefined) return patch >= least ? undefined : floor.reason;
  const lines = Object.keys(floor.lines).map((line) => line.split('.').map(Number));
  const later = lines.every(([a = 0, b = 0]) => major > a || (major === a && minor > b));
  return later ? undefined : floor.reason;
}
