import type { BigIntStats } from 'node:fs';
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import type { Owner } from '../image/owners.ts';
import { recordedOwner } from '../image/owners.ts';
import { OwnerSupervisor } from './owner-supervisor.ts';
import type { SeccompArch } from './seccomp.ts';

/** Says whom a file in a step's upper directory belongs to. */
export type OwnerOf = (path: string, stat: BigIntStats) => Owner;

const root: Owner = { uid: 0, gid: 0 };

/** The owners of one step's files where there is a single id: written down while it runs, read when its layer is made. */
export class StepOwners implements AsyncDisposable {
  readonly #step: { readonly arch: SeccompArch; readonly upper: string; readonly lower: readonly string[] };
  #supervisor: OwnerSupervisor | undefined;

  constructor(step: {
    readonly arch: SeccompArch;
    readonly upper: string;
    /** Unpacked layers, base to top. */
    readonly lower: readonly string[];
  }) {
    this.#step = step;
  }

  /** Takes over the listener `fd` of the step's first process. */
  guard(fd: number, pid: number): void {
    const { arch, upper } = this.#step;
    this.#supervisor = new OwnerSupervisor({ pid, fd, arch, upper });
  }

  /** New files belong to the user of the step, which ran as root in its place; those of lower layers to whom they belonged to. */
  ownerOf(user: Owner): OwnerOf {
    const { upper, lower } = this.#step;
    const others = this.#supervisor?.others;
    const wasThere = (path: string): boolean =>
      lower.some((layer) => lstatSync(join(layer, path), { throwIfNoEntry: false }) !== undefined);
    return (path, stat) => {
      const known = others?.get(stat.ino) ?? recordedOwner(path);
      if (known !== undefined || user.uid === 0) return known ?? root;
      return wasThere(path.slice(upper.length)) ? root : user;
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#supervisor?.[Symbol.asyncDispose]();
  }
}
