import type { Change, Run } from '../integration/executor-steps.ts';
import type { WeakeningName } from './weakenings.ts';

// What an attack is, and what it gets to work with. The attacker writes the Dockerfile, the context and the images; what is to be kept from
// them is the host.

/** Things of the host that no step may reach. */
export interface Host {
  /** A directory with a file `marker` in it, which says `canary`. */
  readonly folder: string;
  readonly marker: string;
  /** A process of the host, with `canary-word` on its command line and in its environment. */
  readonly pid: number;
  /** Of a server on the loopback that answers `canary`. */
  readonly port: number;
  /** Name of an abstract unix socket, without its NUL. */
  readonly socket: string;
  /** Of a System V shared memory segment. */
  readonly shmKey: number;
  /** A file that everybody may write to, on a filesystem that is mounted below /sys. */
  readonly knob: string;
  /** Of a POSIX message queue. */
  readonly queue: string;
}

export interface Lab {
  readonly host: Host;
  /** An empty directory of the host, for this attempt alone. */
  readonly folder: string;
  /** A root filesystem with a static busybox and the users of `makeRootfs`. */
  readonly layer: string;
  /** Root of the store. */
  readonly store: string;
  /** Runs a step on the runtime that is tried; with `terminal` at the terminal that controls this process, without capture. */
  readonly run: (
    command: string | readonly string[],
    change?: Change & { readonly terminal?: 'plain' },
  ) => Promise<Run>;
}

/** Says whether it got out. A BuildError is a refusal. */
export type Action = (lab: Lab) => boolean | Promise<boolean>;

/** A shell script that ends with status 0 when it got out. It finds $MARKER, $CANARY_PID and $PORT of the host in its environment. */
export interface Script {
  readonly script: string;
  /** Executables, as $ATTEMPT/<name>. */
  readonly programs?: (host: Host) => Readonly<Record<string, Uint8Array>>;
  readonly network?: 'host';
}

export interface Attempt {
  /** Row of spec/security.md: a CVE, or a rule. */
  readonly row: string;
  readonly what: string;
  readonly attack: Script | Action;
  /** What lets the same attack through: a bundle without its protection, or how code without the check would do it. */
  readonly weakened: WeakeningName | Action;
  /** Runtimes whose bundle can be weakened so; default: both. */
  readonly weakenedOn?: readonly string[];
  /** Where it gets through all the same, and why that is no harm; by rung. */
  readonly exceptions?: Readonly<Record<string, string>>;
}

export interface Outcome {
  readonly title: string;
  /** undefined: neither refused nor through, but something went wrong. */
  readonly escaped: boolean | undefined;
  readonly said: string;
}

export function titleOf({ row, what }: Attempt): string {
  return `${row}: ${what}`;
}
