import { lstatSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import { lutimes } from '../../host/syscalls.ts';
import { BuildError } from '../../util/build-error.ts';
import { removeTree } from '../../util/remove-tree.ts';
import { RootTree } from '../root-tree.ts';

// Where nothing can be mounted, a file or directory stands in for a mount while a step runs. What the image has in its place is put aside and comes
// back. No name is followed through a link: the image, and afterwards the step, may have put one anywhere (CVE-2024-23652).

interface StandIn {
  /** Absolute in the root filesystem, without links. */
  readonly path: string;
  /** Where what was there is kept. */
  readonly aside: string | undefined;
  /** Directories above it that were made for it, outermost first. */
  readonly made: readonly string[];
  /** Takes it away, given its place; default: it is removed. */
  readonly take: ((place: string) => void) | undefined;
}

/** The stand-ins of one step. */
export class StandIns {
  readonly #rootfs: string;
  /** On the filesystem of the root filesystem. */
  readonly #directory: string;
  readonly #placed: StandIn[] = [];

  constructor(rootfs: string, directory: string) {
    this.#rootfs = rootfs;
    this.#directory = directory;
  }

  /** Paths in the root filesystem, relative to it. */
  get covered(): ReadonlySet<string> {
    return new Set(this.#placed.map(({ path }) => path.slice(1)));
  }

  /** Directories that were made above them, relative to the root filesystem. */
  get made(): ReadonlySet<string> {
    return new Set(this.#placed.flatMap(({ made }) => made.map((path) => path.slice(1))));
  }

  /**
   * Puts something where `target` leads. `make` gets a free name there; `take`, the same name later, to take back what it put. Throws STEP_START
   * where nothing can stand.
   */
  place(
    tree: RootTree,
    target: string,
    about: { readonly make: (place: string) => void; readonly take?: (place: string) => void },
  ): void {
    const found = tree.resolve(target);
    if (found.path === '/')
      throw new BuildError('STEP_START', `nothing can be mounted at ${target}: it leads to ${found.path}`);
    const above = found.missing.slice(0, -1);
    const made: string[] = [];
    const existing = posix.resolve(found.path, ...found.missing.map(() => '..'));
    const first = found.missing.length === 0 ? posix.dirname(found.path) : existing;
    this.#keepingTime(tree, first, () => {
      let parent = first;
      for (const name of above) {
        tree.makeDirectory(parent, name, { mode: 0o755, uid: 0, gid: 0 });
        parent = posix.join(parent, name);
        made.push(parent);
      }
      this.#at(tree, found.path, (place) => {
        let aside: string | undefined;
        if (found.type !== 'missing') {
          aside = join(this.#directory, `aside-${this.#placed.length}`);
          renameSync(place, aside);
        }
        this.#placed.push({ path: found.path, aside, made, take: about.take });
        about.make(place);
      });
    });
  }

  /** Takes all away again, the last first. What the step has put in the place of a directory above stays as it is. */
  async remove(): Promise<void> {
    using tree = new RootTree(this.#rootfs);
    for (let last = this.#placed.pop(); last !== undefined; last = this.#placed.pop()) {
      const { path, aside, made, take } = last;
      const parent = posix.dirname(path);
      if (tree.plainDirectory(parent) === true) {
        const away = join(this.#directory, `away-${this.#placed.length}`);
        this.#keepingTime(tree, parent, () =>
          this.#at(tree, path, (place) => {
            const present = lstatSync(place, { throwIfNoEntry: false }) !== undefined;
            if (present && take !== undefined) take(place);
            else if (present) renameSync(place, away);
            if (aside !== undefined) renameSync(aside, place);
          }),
        );
        await removeTree(away);
      }
      for (const directory of made.toReversed()) this.#removeEmpty(tree, directory);
    }
  }

  #removeEmpty(tree: RootTree, path: string): void {
    if (tree.plainDirectory(path) !== true) return;
    this.#keepingTime(tree, posix.dirname(path), () =>
      this.#at(tree, path, (place) => {
        if (readdirSync(place).length === 0) rmdirSync(place);
      }),
    );
  }

  #at(tree: RootTree, path: string, use: (place: string) => void): void {
    tree.at(posix.dirname(path), (_fd, stable) => use(`${stable}/${posix.basename(path)}`));
  }

  /** Leaves a directory's modification time as it was. */
  #keepingTime(tree: RootTree, path: string, work: () => void): void {
    const mtime = tree.at(path, (_fd, stable) => lstatSync(`${stable}/.`, { bigint: true }).mtimeNs);
    work();
    tree.at(path, (_fd, stable) => lutimes(`${stable}/.`, mtime, mtime));
  }
}
