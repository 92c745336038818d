import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent } from '../host/agent/agent.ts';
import { deathTie } from '../host/agent/items.ts';
import { CLONE_NEWNS, MS_PRIVATE, MS_REC } from '../host/container-constants.ts';

// Emulators of other processors, as binfmt_misc knows them: an interpreter for files that begin with certain bytes.

const registry = '/proc/sys/fs/binfmt_misc';

/** What qemu calls the processors that it calls otherwise than images do. */
const qemuNames: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '386': 'i386',
    amd64: 'x86_64',
    arm64: 'aarch64',
    loong64: 'loongarch64',
    mips64le: 'mips64el',
    mipsle: 'mipsel',
  }),
);

/** The name under which qemu is registered for a processor. */
export function qemuName(architecture: string): string {
  return `qemu-${qemuNames.get(architecture) ?? architecture}`;
}

export interface Registration {
  /** The file that shows it, and switches it on and off. */
  readonly file: string;
  readonly enabled: boolean;
  readonly interpreter: string;
  /** Was the interpreter opened when it was registered (flag F)? Else it is looked up in the image. */
  readonly fixed: boolean;
}

/** What the kernel shows of qemu for a processor. Fedora's names end in `-static`. */
export function registeredEmulator(architecture: string): Registration | undefined {
  const name = qemuName(architecture);
  for (const file of [join(registry, name), join(registry, `${name}-static`)]) {
    const text = readText(file);
    if (text === undefined) continue;
    return {
      file,
      enabled: /^enabled$/m.test(text),
      interpreter: /^interpreter (.*)$/m.exec(text)?.[1] ?? '',
      fixed: /^flags: .*F/m.test(text),
    };
  }
  return undefined;
}

/** Is qemu for a processor installed, by a package that would register it where systemd runs? */
export function isInstalled(architecture: string): boolean {
  const name = qemuName(architecture);
  return registrations().some((line) => [name, `${name}-static`].includes(nameOf(line)));
}

/** Holds the registrations of this process's user namespace; they end with it. */
let keeper: Promise<Agent | undefined> | undefined;

/**
 * Registers what is installed in the user namespace of this process, for the processes in it alone (Linux 6.7). It takes the place of the host's
 * registrations there. Says whether that was possible.
 */
export async function registerEmulators(): Promise<boolean> {
  keeper ??= keepRegistrations(registrations());
  return (await keeper) !== undefined;
}

async function keepRegistrations(lines: readonly string[]): Promise<Agent | undefined> {
  if (lines.length === 0) return undefined;
  const agent = new Agent({ cwd: '/', stdio: ['ignore', 'ignore', 'ignore', 'pipe'], detached: false });
  try {
    await agent.execute([
      deathTie,
      { name: 'unshare', args: [CLONE_NEWNS], what: 'making a mount namespace' },
      { name: 'mount', args: ['none', '/', null, MS_REC | MS_PRIVATE, null], what: 'making mounts private' },
      {
        name: 'mount',
        args: ['binfmt_misc', registry, 'binfmt_misc', 0, null],
        what: 'mounting binfmt_misc',
      },
    ]);
    for (const line of lines) writeIfTaken(`/proc/${agent.child.pid}/root${registry}/register`, line);
    return agent;
  } catch {
    agent.letGo();
    return undefined;
  }
}

function writeIfTaken(path: string, line: string): void {
  try {
    writeFileSync(path, line);
  } catch {
    // Its interpreter is not there, or this user may not have it.
  }
}

/** The lines with which packages register qemu (binfmt.d(5)); each has the flag F. */
function registrations(): string[] {
  const seen = new Set<string>();
  return ['/etc/binfmt.d', '/usr/lib/binfmt.d'].flatMap((folder) =>
    configurations(folder).flatMap((file) => {
      // A file in /etc takes the place of the one of the same name.
      if (seen.has(file)) return [];
      seen.add(file);
      const lines = (readText(join(folder, file)) ?? '').split('\n').map((line) => line.trim());
      return lines.filter((line) => nameOf(line).startsWith('qemu-')).map(withFlagF);
    }),
  );
}

/** A line begins with what separates its fields: name, type, offset, magic, mask, interpreter, flags. */
function nameOf(line: string): string {
  return line.split(line.charAt(0))[1] ?? '';
}

function withFlagF(line: string): string {
  const flags = line.slice(line.lastIndexOf(line.charAt(0)));
  return flags.includes('F') ? line : `${line}F`;
}

function configurations(folder: string): string[] {
  try {
    return readdirSync(folder).filter((file) => file.endsWith('.conf'));
  } catch {
    return [];
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
