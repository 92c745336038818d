import type { Attempt } from '../attempt.ts';
import { inOwnMounts } from '../naive.ts';

// Knobs of the kernel. That a file could be opened for writing is enough: nothing is written.

/** Ends well when one of the files that there are can be opened for writing. */
function writable(...files: readonly string[]): string {
  return `for f in ${files.join(' ')}; do [ -f "$f" ] && (: >>"$f") && exit 0; done; exit 1`;
}

/** Ends well when one of the files has something in it, or one of the directories. */
function readable(...files: readonly string[]): string {
  return `for f in ${files.join(' ')}; do [ -d $f ] && [ -n "$(ls $f)" ] && exit 0; [ -f $f ] || [ -c $f ] && head -c 1 $f | grep -q . && exit 0; done; exit 1`;
}

const masked = ['acpi', 'asound', 'interrupts', 'kcore', 'keys', 'latency_stats', 'timer_list'];

export const kernelFiles: readonly Attempt[] = [
  {
    row: 'S-SB-5',
    what: 'read the memory of the kernel, its keys, its timers',
    attack: {
      script: readable(
        ...masked.map((name) => `/proc/${name}`),
        ...['/proc/sched_debug', '/proc/scsi', '/proc/timer_stats'],
      ),
    },
    weakened: 'files',
  },
  {
    row: 'S-SB-5',
    what: 'read the tables of the firmware',
    attack: { script: readable('/sys/firmware', '/sys/devices/virtual/powercap', '/proc/interrupts') },
    weakened: 'files',
  },
  {
    row: 'CVE-2025-31133',
    what: 'write core_pattern, which the kernel runs on the host',
    attack: { script: writable('/proc/sys/kernel/core_pattern') },
    weakened: 'files',
  },
  {
    row: 'CVE-2025-52881',
    what: 'write other settings of the kernel',
    attack: { script: writable('/proc/sys/kernel/*', '/proc/sys/vm/*', '/proc/sys/fs/*') },
    weakened: 'files',
  },
  {
    row: 'S-SB-6',
    what: 'write to sysrq-trigger and to where interrupts go',
    attack: { script: writable('/proc/sysrq-trigger', '/proc/irq/*', '/proc/bus/*/*', '/proc/fs/*/*') },
    weakened: 'files',
  },
  {
    row: 'S-SB-6',
    what: 'write to /sys',
    attack: {
      script: writable(
        ...['/sys/kernel/uevent_helper', '/sys/kernel/profiling', '/sys/kernel/rcu_expedited'],
        ...['/sys/kernel/mm/transparent_hugepage/enabled', '/sys/power/state', '/sys/module/*/parameters/*'],
      ),
    },
    weakened: 'files',
  },
  {
    row: 'S-SB-6',
    what: "write to what the host has mounted below /sys, on the host's network",
    async attack({ host, run }) {
      return (await run(`: >>${host.knob}`, { op: { network: 'host' } })).exitCode === 0;
    },
    // Read-only is the topmost mount alone.
    weakened: ({ host, folder }) =>
      inOwnMounts(
        'mkdir -p "$1/sys" && mount --rbind /sys "$1/sys" && mount -o remount,bind,ro "$1/sys" && : >>"$1$2"',
        ...[folder, host.knob],
      ),
  },
  {
    row: 'CVE-2023-25809',
    what: "write to the cgroups' release_agent, move processes, make groups",
    attack: {
      script: `for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -e $d/cgroup.procs ] && mkdir $d/attempt && rmdir $d/attempt && exit 0; done
        ${writable('/sys/fs/cgroup/*/release_agent', '/sys/fs/cgroup/*/cgroup.procs', '/sys/fs/cgroup/cgroup.procs')}`,
    },
    weakened: 'files',
    // The embedded runtime shows no cgroups of the old kind at all.
    weakenedOn: ['runc'],
  },
];
