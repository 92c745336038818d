import { readFileSync } from 'node:fs';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform, hostPlatform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';

/** What qemu calls the processors that it calls otherwise than Go does. */
const qemuNames: Readonly<Record<string, string>> = {
  '386': 'i386',
  amd64: 'x86_64',
  arm64: 'aarch64',
  loong64: 'loongarch64',
  mips64le: 'mips64el',
  mipsle: 'mipsel',
};

/** Whether this host runs programs of a platform: its own, 32-bit ones of x86, and those that qemu is registered for (L-FROM-5). */
export function runsHere(platform: Platform): boolean {
  return lacks(platform) === undefined;
}

/** Throws STEP_PLATFORM, before anything is run, where this host cannot run programs of a platform. */
export function requireEmulation(platform: Platform): void {
  const lacking = lacks(platform);
  if (lacking === undefined) return;
  throw new BuildError(
    'STEP_PLATFORM',
    `RUN has to execute programs of ${formatPlatform(platform)} here, and ${lacking}`,
    {
      hint: 'install qemu-user-static (Debian, Ubuntu: with binfmt-support), or take COPY from a stage of `--platform=$BUILDPLATFORM`',
    },
  );
}

/** What is missing to run programs of a platform; undefined: nothing. */
function lacks({ os, architecture }: Platform): string | undefined {
  const host = hostPlatform();
  if (os !== host.os) return `this is ${host.os}`;
  if (architecture === host.architecture) return undefined;
  if (architecture === '386' && host.architecture === 'amd64') return undefined;
  const name = `qemu-${qemuNames[architecture] ?? architecture}`;
  let text: string;
  try {
    text = readFileSync(`/proc/sys/fs/binfmt_misc/${name}`, 'utf8');
  } catch {
    return `no ${name} is registered with binfmt_misc`;
  }
  if (!/^enabled$/m.test(text)) return `${name} is switched off in binfmt_misc`;
  // Without F the kernel would look for the interpreter in the image.
  return /^flags: .*F/m.test(text) ? undefined : `${name} is registered without the flag F`;
}
