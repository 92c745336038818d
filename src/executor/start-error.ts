import { readFileSync } from 'node:fs';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import { hasNoRoom } from '../store/disk-space.ts';

/** What a runtime wrote into its log as an error; undefined when it did not. */
export function runtimeError(log: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(log, 'utf8');
  } catch {
    return undefined;
  }
  for (const line of text.split('\n').toReversed()) {
    try {
      const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
      if ((level === 'error' || level === 'fatal') && typeof msg === 'string') return msg;
    } catch {
      // Not every runtime keeps to JSON in its last breath.
    }
  }
  return undefined;
}

/**
 * The error of a step whose command could not be started, in the user's words where the cause is known; `details.exitCode` is what a shell
 * would have ended with. `home` is where the runtime keeps the step's files: on a full disk runtimes fail in words that do not say so.
 */
export function startError(
  said: string,
  step: { readonly args: readonly string[]; readonly platform: Platform },
  home?: string,
): BuildError {
  const [command = ''] = step.args;
  const details = { runtime: said };
  if (/exec format error|ENOEXEC/i.test(said))
    return new BuildError('STEP_START', `\`${command}\` is made for another processor or is no program`, {
      hint: `the step runs for ${formatPlatform(step.platform)}; what is made for another needs qemu-user-static, registered with binfmt_misc`,
      details: { ...details, exitCode: 126 },
    });
  if (/executable file [^:]*not found|\bexec.*(ENOENT|ENOTDIR|no such file or directory)/i.test(said))
    return new BuildError('STEP_START', `\`${command}\` was not found in the image`, {
      hint: 'check the name and the PATH of the image; a script also needs its interpreter, a program its loader',
      details: { ...details, exitCode: 127 },
    });
  if (/exec.*(permission denied|EACCES)/i.test(said))
    return new BuildError('STEP_START', `\`${command}\` cannot be executed: permission denied`, {
      hint: 'make it executable (chmod +x, or COPY --chmod), for the user of the step too',
      details: { ...details, exitCode: 126 },
    });
  if (/no space left|ENOSPC/i.test(said) || (home !== undefined && hasNoRoom(home)))
    return new BuildError('DISK_FULL', 'no space left while starting the step', {
      hint: 'free some space, or choose another place for the store with --root',
      details,
    });
  return new BuildError('STEP_START', `the step could not be started: ${said}`, { details });
}
