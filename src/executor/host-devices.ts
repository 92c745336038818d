import { lstatSync, readdirSync } from 'node:fs';
import { deviceNumbers } from '../host/syscalls.ts';
import type { SpecDevice } from './runtime-spec.ts';

const names: readonly string[] = ['kmsg', 'cuse', 'fuse', 'kvm', 'net/tun', 'loop-control'];

/** The devices that a step with `--security=insecure` has besides the usual (L-RUN-5), as far as this host has them. */
export function insecureDevices(): readonly SpecDevice[] {
  const loops = readdirSync('/dev').filter((name) => /^loop\d+$/.test(name));
  return [...names, ...loops.toSorted()].flatMap((name) => {
    const path = `/dev/${name}`;
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat?.isCharacterDevice() !== true && stat?.isBlockDevice() !== true) return [];
    return [
      { path, type: stat.isBlockDevice() ? ('b' as const) : ('c' as const), ...deviceNumbers(stat.rdev) },
    ];
  });
}
