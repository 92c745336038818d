import { posix } from 'node:path';
import { BuildError } from '../util/build-error.ts';
import { isBelow } from './mounts.ts';
import type { Found } from './root-tree.ts';
import { resolvePath, RootTree } from './root-tree.ts';
import type { SpecMount } from './runtime-spec.ts';
import type { MountPointStubs } from './stubs.ts';

/** What every container has in its /dev: these are doors to what the runtime has open. */
const deviceLinks: Readonly<Record<string, string>> = {
  ...{ fd: '/proc/self/fd', stdin: '/proc/self/fd/0', stdout: '/proc/self/fd/1', stderr: '/proc/self/fd/2' },
  core: '/proc/kcore',
};

/**
 * Where the step starts (L-RUN-9): made 0755 for its user where it is missing, unless it is on a mount. Links are resolved as the step will
 * see them, in mounts too, and what is passed on has none: /proc/self/fd and its kin lead out of the container (CVE-2024-21626).
 */
export function makeWorkingDirectory(
  tree: RootTree,
  path: string,
  about: {
    readonly user: { readonly uid: number; readonly gid: number };
    /** Of config.json, parents before children. */
    readonly mounts: readonly SpecMount[];
    /** Where a path of the sandbox is for this process. */
    readonly view: (path: string) => string;
    readonly stubs: MountPointStubs;
  },
): string {
  using seen = new MountedTree(tree, about);
  const place = resolvePath(path === '' ? '/' : path, (parent, name) => seen.look(parent, name));
  const existing = posix.resolve(place.path, ...place.missing.map(() => '..'));
  if (seen.onMount(existing)) return place.path;
  if (tree.plainDirectory(existing) !== true)
    throw new BuildError('STEP_START', `the working directory ${path} is not a directory`);
  let parent = existing;
  for (const name of place.missing) {
    tree.makeDirectory(parent, name, { mode: 0o755, uid: about.user.uid, gid: about.user.gid });
    parent = posix.join(parent, name);
    about.stubs.keep(parent);
  }
  return place.path;
}

/** A root filesystem with its mounts, as far as paths are concerned. */
class MountedTree {
  readonly #tree: RootTree;
  readonly #mounts: readonly SpecMount[];
  readonly #view: (path: string) => string;
  readonly #open = new Map<SpecMount, RootTree>();

  constructor(
    tree: RootTree,
    about: { readonly mounts: readonly SpecMount[]; readonly view: (path: string) => string },
  ) {
    this.#tree = tree;
    this.#mounts = about.mounts;
    this.#view = about.view;
  }

  onMount(path: string): boolean {
    return ['/dev', '/sys', ...this.#mounts.map((mount) => mount.destination)].some((target) =>
      isBelow(path, target),
    );
  }

  look(parent: string, name: string): Found {
    const path = posix.join(parent, name);
    if (isBelow(path, '/proc'))
      throw new BuildError('STEP_START', `the working directory leads to ${path}, below /proc`, {
        hint: 'choose another WORKDIR: below /proc there are doors out of the container',
      });
    if (this.#mounts.some((mount) => mount.destination === path)) return 'entry';
    // The last one covers those before.
    const mount = this.#mounts.findLast(({ destination }) => isBelow(parent, destination));
    if (mount !== undefined)
      return mount.type === 'bind' ? this.#treeOf(mount).look(within(mount, parent), name) : 'missing';
    // These two the runtime makes; links in /sys stay there.
    if (parent === '/dev' && Object.hasOwn(deviceLinks, name)) return { link: deviceLinks[name] ?? '' };
    if (isBelow(parent, '/dev') || isBelow(parent, '/sys')) return 'entry';
    return this.#tree.look(parent, name);
  }

  #treeOf(mount: SpecMount): RootTree {
    let tree = this.#open.get(mount);
    if (tree === undefined) {
      try {
        tree = new RootTree(this.#view(mount.source));
      } catch (error) {
        throw new BuildError(
          'STEP_START',
          `the working directory is below ${mount.destination}, which is a file`,
          {
            cause: error,
          },
        );
      }
      this.#open.set(mount, tree);
    }
    return tree;
  }

  [Symbol.dispose](): void {
    for (const tree of this.#open.values()) tree[Symbol.dispose]();
  }
}

/** The place of a path on a mount. */
function within(mount: SpecMount, path: string): string {
  return posix.join('/', posix.relative(mount.destination, path));
}
