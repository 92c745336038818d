import { execFile } from 'node:child_process';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { becomes, ordersEndOnExec } from '../host/agent/items.ts';
import type { PlanItem } from '../host/agent/plan.ts';
import * as sys from '../host/container-constants.ts';
import { takeErrorOutput } from './container-start.ts';
import type { Runtime } from './runtime.ts';

/** The programs that are looked for, best first. */
export const ociRuntimeNames: readonly string[] = ['crun', 'runc', 'youki'];

const ENOENT = 2;
/**
 * crun refuses hosts that have hierarchies of cgroups v1 and v2 together; of the latter it needs nothing there. A mount of the sandbox's own
 * covers it: in a user namespace it could not be taken away.
 */
const withoutUnified: PlanItem = {
  name: 'mount',
  args: [
    'tmpfs',
    '/sys/fs/cgroup/unified',
    'tmpfs',
    sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC,
    'size=64k',
  ],
  what: 'covering the cgroups v2',
  ignore: ENOENT,
};

/** A runtime program of the host. `options` come before its command: they are what made it work here. */
export function ociRuntime(program: string, options: readonly string[] = []): Runtime {
  const name = ociRuntimeNames.includes(basename(program)) ? basename(program) : program;
  return {
    name,
    makesTerminal: true,
    readsConfig: true,
    namespaces: () => 0,
    start: ({ directory, id, log, state, path }) => {
      // To crun what stands before a colon is the kind of log.
      const logging = [
        '--log',
        name === 'crun' ? `file:${log}` : log,
        '--log-format',
        'json',
        '--root',
        state,
      ];
      const args = [program, ...options, ...logging, 'run', '--bundle', directory, id];
      return {
        before: [
          ...takeErrorOutput,
          { name: 'chdir', args: ['/'], what: 'chdir' },
          { name: 'umask', args: [0o022], what: 'umask' },
          ...(name === 'crun' ? [withoutUnified] : []),
        ],
        listener: undefined,
        after: [ordersEndOnExec],
        // An allow-list (S-P-9).
        programs: [becomes(program, args, [`PATH=${path}`, 'LC_ALL=C'])],
      };
    },
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

interface Hole {
  readonly name: string;
  /** The patch that closed it, by `major.minor`: later lines never had it, earlier ones do. */
  readonly closed: Readonly<Record<string, number>>;
}

// S-P-8. A distribution may have closed them without a new number; nobody but the number says so.
const holes: Readonly<Record<string, readonly Hole[]>> = {
  runc: [
    { name: 'CVE-2024-21626', closed: { '1.1': 12 } },
    { name: 'CVE-2024-45310', closed: { '1.1': 14 } },
    ...['CVE-2025-31133', 'CVE-2025-52565', 'CVE-2025-52881'].map((name) => ({
      name,
      closed: { '1.2': 8, '1.3': 3, '1.4': 0 },
    })),
    { name: 'CVE-2026-41579', closed: { '1.2': 8, '1.3': 6, '1.4': 3 } },
  ],
  crun: [{ name: 'CVE-2025-24965', closed: { '1.20': 0 } }],
};

/** Names of the holes of a version; undefined: it is safe, or nothing is known about it. */
export function knownHoles(program: string, version: string | undefined): string | undefined {
  if (version === undefined) return undefined;
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const open = (holes[basename(program)] ?? []).filter(({ closed }) => {
    const first = closed[`${major}.${minor}`];
    if (first !== undefined) return patch < first;
    const lines = Object.keys(closed).map((line) => line.split('.').map(Number));
    return !lines.every(([a = 0, b = 0]) => major > a || (major === a && minor > b));
  });
  return open.length === 0 ? undefined : open.map(({ name }) => name).join(', ');
}
