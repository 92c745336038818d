import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Agent, agentArch } from '../host/agent/agent.ts';
import { becomes, deathTie, ordersEndOnExec } from '../host/agent/items.ts';
import { PROBE_STATUS, probeProgram, probedArchitectures } from '../host/probe-program.ts';
import { hasRightsOfRoot, kernelVersion } from '../host/probe.ts';
import { memoryFile } from '../host/syscalls.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform, hostPlatform, parsePlatform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import { exhaustion } from '../util/system-error.ts';
import { isInstalled, qemuName, registerEmulators, registeredEmulator } from './emulators.ts';
import type { RootTree } from './root-tree.ts';

// Steps for other processors: the kernel starts an interpreter, mostly qemu, that binfmt_misc has registered.

/** By processor: one program of each is started at most. */
let proofs = new Map<string, Promise<boolean>>();

/**
 * Whether programs of a platform run on this host (L-FROM-5): those of other processors were seen to. What binfmt_misc shows would not do: in a
 * container it shows nothing and works all the same, and emulators have many names.
 */
export async function runsHere({ os, architecture }: Platform): Promise<boolean> {
  const host = hostPlatform();
  if (os !== host.os || agentArch() === undefined) return false;
  if (architecture === host.architecture) return true;
  const proof = proofs.get(architecture) ?? runsProgram(probeProgram(architecture));
  proofs.set(architecture, proof);
  // It failed for want of something that may be there again a minute later.
  proof.catch(() => proofs.delete(architecture));
  return (await proof) || canRegister(architecture);
}

/** A user's steps have a user namespace of their own, in which emulators are registered as they are needed, since Linux 6.7. */
function canRegister(architecture: string): boolean {
  return !hasRightsOfRoot() && kernelVersion() >= 6007 && isInstalled(architecture);
}

/** Other platforms whose programs run here. */
export async function foreignPlatforms(): Promise<string[]> {
  const { architecture } = hostPlatform();
  const others = probedArchitectures.filter((each) => each !== architecture).map(parsePlatform);
  const found = await Promise.all(others.map(async (each) => ((await runsHere(each)) ? [each] : [])));
  return found.flat().map(formatPlatform);
}

/** An emulator that hangs is none. */
const LIMIT = 10_000;

async function runsProgram(program: Uint8Array | undefined): Promise<boolean> {
  if (program === undefined) return false;
  const file = memoryFile('tsbuild-probe', program);
  const agent = new Agent({ cwd: '/', stdio: ['ignore', 'ignore', 'ignore', 'pipe'], detached: false });
  const ended = once(agent.child, 'exit').catch(() => []);
  const limit = setTimeout(() => agent.child.kill('SIGKILL'), LIMIT);
  try {
    const path = `/proc/${process.pid}/fd/${file}`;
    await agent.execute([deathTie, ordersEndOnExec, becomes(path, ['tsbuild-probe'], [])]);
    const [status] = await ended;
    return status === PROBE_STATUS;
  } catch (error) {
    if (exhaustion(error) !== undefined) throw error;
    return false;
  } finally {
    clearTimeout(limit);
    agent.letGo();
    closeSync(file);
  }
}

/** Throws STEP_PLATFORM where this host cannot run programs of a platform. In a user namespace for steps alone they are made to run. */
export async function requirePrograms(
  platform: Platform,
  { ownNamespace }: { readonly ownNamespace: boolean },
): Promise<void> {
  if (await runsHere(platform)) return;
  if (ownNamespace && (await registerEmulators())) {
    proofs = new Map();
    if (await runsHere(platform)) return;
  }
  const { why, hint } = lacks(platform);
  throw new BuildError(
    'STEP_PLATFORM',
    `RUN has to execute programs of ${formatPlatform(platform)} here, and ${why}`,
    { hint },
  );
}

function lacks({ os, architecture }: Platform): { readonly why: string; readonly hint?: string } {
  const host = hostPlatform();
  if (os !== host.os) return { why: `this is ${host.os}` };
  const name = qemuName(architecture);
  const entry = registeredEmulator(architecture);
  if (entry !== undefined && !entry.enabled)
    return {
      why: `${name} is switched off in binfmt_misc`,
      hint: `switch qemu-user-static on again: echo 1 | sudo tee ${entry.file}`,
    };
  if (isInstalled(architecture))
    return {
      why: `${name} is installed, but not registered with binfmt_misc`,
      hint: 'register qemu-user-static with the kernel: sudo systemctl restart systemd-binfmt',
    };
  return {
    why: `no ${name} is registered with binfmt_misc`,
    hint: 'install qemu-user-static (Debian, Ubuntu: with binfmt-support), or take COPY from a stage of `--platform=$BUILDPLATFORM`',
  };
}

/** Throws STEP_PLATFORM where the kernel looks for the interpreter of a platform's programs in the image, and it is not there. */
export function requireInterpreter({ architecture, ...rest }: Platform, tree: RootTree): void {
  if (architecture === hostPlatform().architecture) return;
  const entry = registeredEmulator(architecture);
  if (entry === undefined || !entry.enabled || entry.fixed) return;
  if (tree.resolve(entry.interpreter).missing.length === 0) return;
  throw new BuildError(
    'STEP_PLATFORM',
    `programs of ${formatPlatform({ architecture, ...rest })} are started by ${entry.interpreter}, which is not in the image`,
    {
      hint: 'register qemu-user-static with the flag F, as its package does: sudo systemctl restart systemd-binfmt',
    },
  );
}
