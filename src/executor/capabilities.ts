/** Capability names by number (linux/capability.h), without `CAP_`. */
const names: readonly string[] = [
  ...['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP'],
  ...[
    'LINUX_IMMUTABLE',
    'NET_BIND_SERVICE',
    'NET_BROADCAST',
    'NET_ADMIN',
    'NET_RAW',
    'IPC_LOCK',
    'IPC_OWNER',
  ],
  ...[
    'SYS_MODULE',
    'SYS_RAWIO',
    'SYS_CHROOT',
    'SYS_PTRACE',
    'SYS_PACCT',
    'SYS_ADMIN',
    'SYS_BOOT',
    'SYS_NICE',
  ],
  ...[
    'SYS_RESOURCE',
    'SYS_TIME',
    'SYS_TTY_CONFIG',
    'MKNOD',
    'LEASE',
    'AUDIT_WRITE',
    'AUDIT_CONTROL',
    'SETFCAP',
  ],
  ...['MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF'],
  'CHECKPOINT_RESTORE',
];

/** Docker's 14 (S-SB-1). */
export const sandboxCapabilities: readonly string[] = [
  ...['CHOWN', 'DAC_OVERRIDE', 'FSETID', 'FOWNER', 'MKNOD', 'NET_RAW', 'SETGID', 'SETUID', 'SETFCAP'],
  ...['SETPCAP', 'NET_BIND_SERVICE', 'SYS_CHROOT', 'KILL', 'AUDIT_WRITE'],
].map((name) => `CAP_${name}`);

/** All that Linux knows. */
export const allCapabilities: readonly string[] = names.map((name) => `CAP_${name}`);

/** Bit mask of capabilities by name; throws a RangeError for a name that is none. */
export function capabilityMask(list: readonly string[]): bigint {
  let mask = 0n;
  for (const name of list) {
    const bit = allCapabilities.indexOf(name);
    if (bit < 0) throw new RangeError(`no capability ${name}`);
    mask |= 1n << BigInt(bit);
  }
  return mask;
}

/** Those of `list` that are in `mask`. */
export function capabilitiesIn(list: readonly string[], mask: bigint): string[] {
  return list.filter((name) => (capabilityMask([name]) & mask) !== 0n);
}
