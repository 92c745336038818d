import { callProgram } from '../../support/elf.ts';
import type { SystemCall } from '../../support/elf.ts';
import type { Attempt } from '../attempt.ts';

// Calls that a step must not get through to the kernel with (S-SB-1, S-SB-3). Their arguments are such that the kernel, were it asked, would
// find fault with them, or do no harm: another error than EPERM shows that it was asked.

const EPERM = 1;
const ENOSYS = 38;
const NEW_NAMESPACE = { mount: 0x2_0000, user: 0x1000_0000, network: 0x4000_0000 };
const room = (size: number): Uint8Array => new Uint8Array(size);

/** struct timex that asks for a tick of no length: only who may set the clock is told that this is nonsense. */
function badTimex(): Uint8Array {
  const bytes = Buffer.alloc(208);
  bytes.writeUInt32LE(0x4000, 0);
  return bytes;
}

/** struct timespec or timeval with too many nanoseconds. */
function badTime(): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64LE(10n ** 12n, 8);
  return bytes;
}

/** Numbers of x86-64. */
const calls: Readonly<Record<string, SystemCall>> = {
  'mount a tmpfs': { number: 165, args: ['none', '/tmp', 'tmpfs', 0, 0] },
  unmount: { number: 166, args: ['/attempts', 0] },
  pivot_root: { number: 155, args: ['.', '.'] },
  open_tree: { number: 428, args: [-100, '/', 0] },
  move_mount: { number: 429, args: [-1, '', -1, '', 0] },
  fsopen: { number: 430, args: ['tmpfs', 0] },
  fsmount: { number: 432, args: [-1, 0, 0] },
  fspick: { number: 433, args: [-100, '/', 0] },
  mount_setattr: { number: 442, args: [-100, '/none', 0, room(32), 32] },
  'a mount namespace': { number: 272, args: [NEW_NAMESPACE.mount] },
  'a user namespace': { number: 272, args: [NEW_NAMESPACE.user] },
  'a network namespace': { number: 272, args: [NEW_NAMESPACE.network] },
  'a user namespace by clone': { number: 56, args: [NEW_NAMESPACE.user | 17, 0, 0, 0, 0] },
  setns: { number: 308, args: [-1, 0] },
  open_by_handle_at: { number: 304, args: [-1, 0, 0] },
  bpf: { number: 321, args: [0, room(128), 128] },
  perf_event_open: { number: 298, args: [0, 0, -1, -1, 0] },
  io_uring_setup: { number: 425, args: [0, 0] },
  userfaultfd: { number: 323, args: [0x7fff] },
  fanotify_init: { number: 300, args: [0, 0] },
  kexec_load: { number: 246, args: [0, 1000, 0, 0] },
  kexec_file_load: { number: 320, args: [-1, -1, 0, '', 0x7fff] },
  init_module: { number: 175, args: [0, 0, ''] },
  finit_module: { number: 313, args: [-1, '', 0] },
  delete_module: { number: 176, args: ['none', 0] },
  reboot: { number: 169, args: [0, 0, 0, 0] },
  settimeofday: { number: 164, args: [badTime(), 0] },
  clock_settime: { number: 227, args: [0, badTime()] },
  clock_adjtime: { number: 305, args: [0, badTimex()] },
  adjtimex: { number: 159, args: [badTimex()] },
  swapon: { number: 167, args: ['/none', 0] },
  swapoff: { number: 168, args: ['/none'] },
  acct: { number: 163, args: ['/none'] },
  quotactl: { number: 179, args: [0x80_0001 << 8, '/none', 0, 0] },
  syslog: { number: 103, args: [10, 0, 0] },
  'the keyring of the session': { number: 250, args: [0, -3, 0] },
  add_key: { number: 248, args: ['user', 'attempt', 'x', 1, -2] },
  request_key: { number: 249, args: ['user', 'attempt', 0, 0] },
  iopl: { number: 172, args: [3] },
  ioperm: { number: 173, args: [0x80, 1, 1] },
  vhangup: { number: 153 },
  sethostname: { number: 170, args: ['x', 1] },
  setdomainname: { number: 171, args: ['x', 1] },
  kcmp: { number: 312, args: [1, 1, 0x7fff, 0, 0] },
  pidfd_getfd: { number: 438, args: [-1, 0, 0] },
  process_madvise: { number: 440, args: [-1, 0, 0, 0, 0] },
  move_pages: { number: 279, args: [0, 0, 0, 0, 0, 0] },
  set_mempolicy: { number: 238, args: [0, 0, 0] },
  'a socket to the hypervisor (AF_VSOCK)': { number: 41, args: [40, 0x7fff, 0] },
  'addresses that can be foreseen (personality)': { number: 135, args: [0x4_0000] },
};

/** Answered as if the kernel were older. */
const unknown: Readonly<Record<string, SystemCall>> = {
  clone3: { number: 435, args: [0, 0] },
};

function attempt(what: string, call: SystemCall, refusals: readonly number[]): Attempt {
  const statuses = refusals.join('|');
  return {
    row: 'S-SB-3',
    what,
    attack: {
      // Killed is refused too.
      script: `$ATTEMPT/call; case $? in ${statuses}|12[89]|1[3-9]?|2??) exit 1;; esac; exit 0`,
      programs: () => ({ call: callProgram({ calls: [call], stopOnError: true }) }),
    },
    weakened: 'calls',
  };
}

export const kernelCalls: readonly Attempt[] = [
  ...Object.entries(calls).map(([what, call]) => attempt(what, call, [EPERM])),
  ...Object.entries(unknown).map(([what, call]) => attempt(what, call, [ENOSYS])),
  attempt('the way of 32-bit programs', { abi: 'x86', number: 21, args: ['none', '/tmp', 'tmpfs', 0, 0] }, [
    EPERM,
  ]),
  attempt('the way of x32 programs', { number: 0x4000_0000 | 165, args: ['none', '/tmp', 'tmpfs', 0, 0] }, [
    EPERM,
  ]),
  {
    row: 'CVE-2023-25809',
    what: 'mount cgroups anew, to be asked what runs when a group is empty',
    attack: {
      script:
        'mkdir -p /tmp/c; mount -t cgroup -o pids none /tmp/c || mount -t cgroup2 none /tmp/c; [ -e /tmp/c/cgroup.procs ]',
    },
    weakened: 'calls',
  },
  {
    row: 'S-SB-1',
    what: 'out of a chroot by another one, and by the directories of the host above',
    attack: {
      script: '$ATTEMPT/breakout',
      programs: ({ marker }) => ({
        breakout: callProgram({
          stopOnError: true,
          calls: [
            { number: 83, args: ['/tmp/jail', 0o755] },
            { number: 161, args: ['/tmp/jail'] },
            ...Array.from({ length: 40 }, () => ({ number: 80, args: ['..'] })),
            { number: 161, args: ['.'] },
            { number: 257, args: [-100, marker, 0] },
          ],
        }),
      }),
    },
    weakened: 'chroot',
  },
];
