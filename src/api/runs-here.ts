import { readdirSync } from 'node:fs';
import { binfmtNames } from '../host/probe.ts';
import type { Platform } from '../oci/platform.ts';
import { hostPlatform } from '../oci/platform.ts';

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
export function runsHere({ os, architecture }: Platform): boolean {
  const host = hostPlatform();
  if (os !== host.os) return false;
  if (architecture === host.architecture) return true;
  if (architecture === '386' && host.architecture === 'amd64') return true;
  const interpreter = `qemu-${qemuNames[architecture] ?? architecture}`;
  return binfmtNames((directory) => readdirSync(directory))?.includes(interpreter) ?? false;
}
