import type { AgentArch } from './program.ts';
import { BUFFER, BUFFER_SIZE } from './program.ts';

/** System calls that plans use, by number on x86-64 and arm64 (asm/unistd.h). */
const numbers = {
  umask: [95, 166],
  chdir: [80, 49],
  chroot: [161, 51],
  close: [3, 57],
  close_range: [436, 436],
  dup3: [292, 24],
  execve: [59, 221],
  fchown: [93, 55],
  fcntl: [72, 25],
  ftruncate: [77, 46],
  ioctl: [16, 29],
  mkdirat: [258, 34],
  mknodat: [259, 33],
  fchmodat: [268, 53],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  open_tree: [428, 428],
  openat: [257, 56],
  pipe2: [293, 59],
  openat2: [437, 437],
  pivot_root: [155, 41],
  prctl: [157, 167],
  prlimit64: [302, 261],
  read: [0, 63],
  capset: [126, 91],
  seccomp: [317, 277],
  setgroups: [116, 159],
  sethostname: [170, 161],
  setresgid: [119, 149],
  setresuid: [117, 147],
  setsid: [112, 157],
  socket: [41, 198],
  symlinkat: [266, 36],
  umount2: [166, 39],
  unshare: [272, 97],
} as const;

export type CallName = keyof typeof numbers;

/** A number, a text (with a NUL at its end), bytes, or a list of such whose members stand side by side as 8 bytes each. */
export type Argument = number | bigint | string | Uint8Array | readonly Argument[] | null;

export interface PlannedCall {
  readonly name: CallName;
  readonly args: readonly Argument[];
  /** What it is for, in messages. */
  readonly what: string;
  /** An error number that is no error here; 'any': none is. */
  readonly ignore?: number | 'any' | undefined;
}

/** `fork`: what follows happens in a new process, for which the first one waits. */
export type PlanItem = PlannedCall | 'fork';

export const AT_FDCWD = -100;
const RECORD = 64;
const END = -1n;
const FORK = -2n;
const ANY = 4096n;

/** A message for the agent. Throws a RangeError for one that is too long, a TypeError for a text with a NUL. */
export function encodePlan(items: readonly PlanItem[], arch: AgentArch): Uint8Array {
  const column = arch === 'x64' ? 0 : 1;
  const parts: Buffer[] = [];
  let size = (items.length + 1) * RECORD;
  /** Puts bytes behind the records; returns their address. */
  const put = (bytes: Uint8Array): bigint => {
    const address = BigInt(BUFFER + size);
    const padded = Buffer.alloc(Math.ceil(bytes.length / 8) * 8);
    padded.set(bytes);
    parts.push(padded);
    size += padded.length;
    return address;
  };
  const word = (argument: Argument): bigint => {
    if (argument === null) return 0n;
    if (typeof argument === 'number' || typeof argument === 'bigint')
      return BigInt.asIntN(64, BigInt(argument));
    if (typeof argument === 'string') {
      if (argument.includes('\0')) throw new TypeError('a text for the kernel has a NUL');
      return put(Buffer.from(`${argument}\0`));
    }
    if (argument instanceof Uint8Array) return put(argument);
    return put(Buffer.from(new BigInt64Array(argument.map(word)).buffer));
  };
  const records = new BigInt64Array((items.length + 1) * 8);
  items.forEach((item, index) => {
    if (item === 'fork') {
      records[index * 8] = FORK;
      return;
    }
    const { name, args, ignore } = item;
    records[index * 8] = BigInt(numbers[name][column]);
    args.forEach((argument, place) => {
      records[index * 8 + 1 + place] = word(argument);
    });
    records[index * 8 + 7] = ignore === 'any' ? ANY : BigInt(ignore ?? 0);
  });
  records[items.length * 8] = END;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(size));
  if (size > BUFFER_SIZE) throw new RangeError(`${size} bytes are too many for a process to start with`);
  return Buffer.concat([length, Buffer.from(records.buffer), ...parts]);
}
