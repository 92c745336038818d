import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { giveTo } from '../image/owners.ts';
import { BuildError } from '../util/build-error.ts';
import type { SandboxProcess } from './sandbox-process.ts';

/** Files on a tmpfs in the sandbox's mount namespace: never on a disk, gone with it. */
export class MemoryFiles {
  readonly #context: { readonly directory: string; readonly sandbox: SandboxProcess };
  #count = -1;

  constructor(context: { readonly directory: string; readonly sandbox: SandboxProcess }) {
    this.#context = context;
  }

  async write(
    content: Uint8Array,
    owner: { readonly mode: number; readonly uid: number; readonly gid: number },
  ): Promise<string> {
    const path = await this.#next();
    const seen = this.#context.sandbox.view(path);
    writeFileSync(seen, content, { flag: 'wx', mode: 0o600 });
    giveTo(seen, owner);
    chmodSync(seen, owner.mode);
    return path;
  }

  /** Makes an empty directory that is private to root. */
  async makeDirectory(): Promise<string> {
    const path = await this.#next();
    mkdirSync(this.#context.sandbox.view(path), { mode: 0o700 });
    return path;
  }

  async #next(): Promise<string> {
    const { directory, sandbox } = this.#context;
    const memory = join(directory, 'memory');
    if (this.#count < 0) {
      mkdirSync(memory, { mode: 0o700 });
      await sandbox.tmpfs('memory');
    }
    this.#count += 1;
    // It is a mount of the sandbox; if it were not, the content would be on a disk.
    if (statSync(sandbox.view(memory)).dev === statSync(directory).dev)
      throw new BuildError('SANDBOX_UNAVAILABLE', 'there is no memory filesystem for secrets');
    return join(memory, String(this.#count));
  }
}
