import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { lgetxattr, llistxattr, lutimes } from '../host/syscalls.ts';
import { RootTree } from './root-tree.ts';

// Mount points that the image does not have are made before a step and removed after it, so that they never enter the layer
// (L-RUN-8). Removal works below the upper directory without following any link (CVE-2024-23652).

interface DirectoryState {
  readonly mode: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly mtime: bigint;
  readonly xattrs: string;
}

/** The mount points made for one step. */
export class MountPointStubs {
  readonly #stubs: { readonly path: string; readonly directory: boolean }[] = [];
  /** Directories of the image that were copied up because a stub was made in them, as they were before. */
  readonly #touched = new Map<string, DirectoryState>();
  readonly #made = new Set<string>();

  /** Notes a directory that the step is to keep (its working directory). */
  keep(path: string): void {
    this.#made.add(path);
  }

  /** Makes `parts` below the existing directory `parent`; the last one is a file, or a directory with `mode`. */
  make(
    tree: RootTree,
    parent: string,
    stub: { readonly parts: readonly string[]; readonly file: boolean; readonly mode: number },
  ): void {
    this.#remember(tree, parent);
    const before = stateOf(tree, parent).mtime;
    let path = parent;
    stub.parts.forEach((name, index) => {
      const owner = { uid: 0, gid: 0 };
      const last = index === stub.parts.length - 1;
      const file = stub.file && last;
      if (file) tree.makeFile(path, name, { ...owner, mode: 0o644, content: new Uint8Array() });
      else tree.makeDirectory(path, name, { ...owner, mode: last ? stub.mode : 0o755 });
      path = posix.join(path, name);
      this.#stubs.push({ path, directory: !file });
      this.#made.add(path);
    });
    tree.at(parent, (_fd, stable) => lutimes(`${stable}/.`, before, before));
  }

  #remember(tree: RootTree, directory: string): void {
    for (let path = directory; path !== '/'; path = posix.dirname(path)) {
      if (!this.#touched.has(path) && !this.#made.has(path)) this.#touched.set(path, stateOf(tree, path));
    }
  }

  /** Takes the stubs out of a step's upper directory, and the directories that are there only because of them. */
  remove(upper: string): void {
    using tree = new RootTree(upper);
    for (const { path, directory } of this.#stubs.toReversed()) {
      inParent(tree, path, (place) => {
        const stat = lstatSync(place, { throwIfNoEntry: false });
        // Whatever the step put in its place is the step's.
        if (stat === undefined || stat.isSymbolicLink() || stat.isDirectory() !== directory) return;
        if (directory) removeEmpty(place);
        else if (stat.isFile() && stat.size === 0) unlinkSync(place);
      });
    }
    for (const path of [...this.#touched.keys()].toSorted((a, b) => b.length - a.length)) {
      const before = this.#touched.get(path);
      if (before === undefined || tree.plainDirectory(path) !== true) continue;
      const now = stateOf(tree, path);
      const same =
        now.mode === before.mode &&
        now.uid === before.uid &&
        now.gid === before.gid &&
        now.mtime === before.mtime &&
        now.xattrs === before.xattrs;
      if (same && !isOpaque(tree, path)) inParent(tree, path, removeEmpty);
    }
  }
}

/** Calls `use` with a safe name of `path`, and leaves the parent's modification time as it was. Does nothing where a parent is gone. */
function inParent(tree: RootTree, path: string, use: (place: string) => void): void {
  const parent = posix.dirname(path);
  if (tree.plainDirectory(parent) !== true) return;
  const { mtime } = stateOf(tree, parent);
  tree.at(parent, (_fd, stable) => {
    use(`${stable}/${posix.basename(path)}`);
    lutimes(`${stable}/.`, mtime, mtime);
  });
}

function removeEmpty(place: string): void {
  if (readdirSync(place).length === 0) rmdirSync(place);
}

function stateOf(tree: RootTree, path: string): DirectoryState {
  return tree.at(path, (_fd, stable) => {
    const stat = lstatSync(`${stable}/.`, { bigint: true });
    const names = llistxattr(`${stable}/.`).filter((name) => !/^(trusted|user)\.overlay\./.test(name));
    const xattrs = names.toSorted().map((name) => [name, lgetxattr(`${stable}/.`, name)?.toString('hex')]);
    return {
      mode: stat.mode,
      uid: stat.uid,
      gid: stat.gid,
      mtime: stat.mtimeNs,
      xattrs: JSON.stringify(xattrs),
    };
  });
}

function isOpaque(tree: RootTree, path: string): boolean {
  return tree.at(path, (_fd, stable) =>
    ['trusted.overlay.opaque', 'user.overlay.opaque'].some(
      (name) => lgetxattr(`${stable}/.`, name)?.toString() === 'y',
    ),
  );
}
