import { digestOfJson } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import type { Entry } from './entry.ts';
import { baseName, compareBytes, joinPath, parentPath } from './entry-path.ts';
import type { IndexedEntry } from './layer-index.ts';
import { resolveInRoot } from './root-path.ts';
import type { StoredLayer } from './stored-layer.ts';
import type { Tree } from './tree.ts';
import { isPortableXattr } from './xattr.ts';

/**
 * What a container sees of stacked layers, base to top (OCI image-spec, layer.md "Applying Changesets"). Reads the indices of all layers
 * when first asked something; contents only when they are opened. A layer's links count for its own entries only: a parent that is a
 * link in a lower layer is replaced by a directory, as `applyEntries` does. Throws IMAGE_INVALID when a layer cannot be read.
 */
export function layerTree(layers: readonly StoredLayer[]): Tree {
  let built: Promise<Node> | undefined;
  const root = (): Promise<Node> => {
    built ??= build(layers).catch((error: unknown) => {
      built = undefined;
      throw error;
    });
    return built;
  };
  const lookup = async (path: string): Promise<Node | undefined> => descend(await root(), path);
  const lstat = async (path: string): Promise<Entry | undefined> => {
    const node = await lookup(path);
    return node === undefined ? undefined : entryOf(node, path);
  };
  return {
    lstat,
    list: async (path) => namesOf(await lookup(path)),
    resolve: (path, last) => resolveInRoot({ lstat }, path, last),
    walk: async function* (path) {
      const node = await lookup(path);
      if (node !== undefined) yield* walk(node, path, new Map());
    },
    contentDigest: async (path) => {
      const node = await lookup(path);
      if (node === undefined) throw new RangeError(`no file ${path}`);
      return (node.inode.contentDigest ??= digestOfInode(node.inode));
    },
  };
}

/** A file, whatever its names. */
interface Inode {
  readonly item: IndexedEntry;
  readonly layer: StoredLayer | undefined;
  /** Names that it was given. */
  links: number;
  contentDigest?: string;
}

interface Node {
  inode: Inode;
  /** Number of the layer that gave it its inode. */
  layer: number;
  /** Of directories. */
  children: Map<string, Node> | undefined;
}

const maxLinks = 255;
const implied: IndexedEntry = {
  entry: { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0n },
  offset: 0,
};

function impliedDirectory(layer: number): Node {
  return { inode: { item: implied, layer: undefined, links: 1 }, layer, children: new Map() };
}

async function build(layers: readonly StoredLayer[]): Promise<Node> {
  const indices = await Promise.all(layers.map((layer) => layer.index()));
  const root = impliedDirectory(-1);
  for (const [number, index] of indices.entries()) {
    const place = { root, number, source: layers[number] };
    for (const item of index.entries) add(place, item);
  }
  return root;
}

interface Place {
  readonly root: Node;
  readonly number: number;
  readonly source: StoredLayer | undefined;
}

function add(place: Place, item: IndexedEntry): void {
  const { root, number, source } = place;
  const { entry } = item;
  if (entry.type === 'opaque') {
    const directory = locate(place, entry.path);
    for (const [name, child] of directory?.children ?? []) {
      if (hideLower(child, number)) directory?.children?.delete(name);
    }
    return;
  }
  if (entry.path === '') {
    root.inode = { item, layer: source, links: 1 };
    return;
  }
  const name = baseName(entry.path);
  if (entry.type === 'whiteout') {
    const parent = locate(place, parentPath(entry.path));
    const child = parent?.children?.get(name);
    if (child !== undefined && hideLower(child, number)) parent?.children?.delete(name);
    return;
  }
  const parent = locate(place, parentPath(entry.path), 'make');
  const existing = parent?.children?.get(name);
  const inode = entry.type === 'hardlink' ? linked(place, entry) : { item, layer: source, links: 1 };
  if (entry.type === 'directory' && existing?.children !== undefined) {
    existing.inode = inode;
    existing.layer = number;
    return;
  }
  const children = entry.type === 'directory' ? new Map<string, Node>() : undefined;
  parent?.children?.set(name, { inode, layer: number, children });
}

function linked(place: Place, entry: Entry): Inode {
  const target = entry.linkTarget ?? '';
  const found = locate(place, parentPath(target))?.children?.get(baseName(target));
  if (found === undefined || found.children !== undefined) {
    throw new BuildError(
      'IMAGE_INVALID',
      `/${entry.path} is a hard link to ${target}, which is no file of the image`,
    );
  }
  found.inode.links += 1;
  return found.inode;
}

/** Takes away what lower layers have at and below a node; true when nothing is left of it. */
function hideLower(node: Node, number: number): boolean {
  for (const [name, child] of node.children ?? []) {
    if (hideLower(child, number)) node.children?.delete(name);
  }
  if (node.layer === number) return false;
  if (node.children === undefined || node.children.size === 0) return true;
  // It stays only as the parent of what this layer has put there.
  node.inode = impliedDirectory(number).inode;
  node.layer = number;
  return false;
}

/** The directory that a layer means by a path: through links of the same layer. */
function locate(place: Place, path: string, missing?: 'make'): Node | undefined {
  const { root, number } = place;
  const waiting = path.split('/').toReversed();
  let trail: Node[] = [root];
  let links = 0;
  while (waiting.length > 0) {
    const part = waiting.pop();
    if (part === undefined || part === '' || part === '.') continue;
    if (part === '..') {
      if (trail.length > 1) trail.pop();
      continue;
    }
    const current = trail.at(-1) as Node;
    let child = current.children?.get(part);
    const target = child?.layer === number ? child.inode.item.entry.linkTarget : undefined;
    if (target !== undefined) {
      links += 1;
      if (links > maxLinks)
        throw new BuildError('IMAGE_INVALID', `/${path} goes through too many symbolic links`);
      if (target.startsWith('/')) trail = [root];
      waiting.push(...target.split('/').toReversed());
      continue;
    }
    if (child?.children === undefined) {
      if (missing !== 'make') return undefined;
      if (child?.layer === number)
        throw new BuildError('IMAGE_INVALID', `/${path} has a parent that is no directory`);
      child = impliedDirectory(number);
      current.children?.set(part, child);
    }
    trail.push(child);
  }
  return trail.at(-1);
}

function descend(root: Node, path: string): Node | undefined {
  let node: Node | undefined = root;
  if (path === '') return node;
  for (const part of path.split('/')) node = node?.children?.get(part);
  return node;
}

function entryOf({ inode }: Node, path: string): Entry {
  const { entry } = inode.item;
  const { xattrs: _, ...rest } = entry;
  const xattrs = portable(entry);
  const { layer } = inode;
  return {
    ...rest,
    path,
    ...(xattrs.length === 0 ? {} : { xattrs: Object.fromEntries(xattrs) }),
    ...(entry.type !== 'file' || layer === undefined ? {} : { content: () => layer.readFile(entry.path) }),
  };
}

function portable(entry: Entry): [string, Uint8Array][] {
  return Object.entries(entry.xattrs ?? {}).filter(([name]) => isPortableXattr(name));
}

function namesOf(node: Node | undefined): string[] {
  return [...(node?.children?.keys() ?? [])].toSorted(compareBytes);
}

function* walk(node: Node, path: string, seen: Map<Inode, string>): Generator<Entry> {
  const entry = entryOf(node, path);
  const first = node.inode.links > 1 ? seen.get(node.inode) : undefined;
  if (first !== undefined) {
    const { content: _, ...rest } = entry;
    yield { ...rest, type: 'hardlink', size: 0, linkTarget: first };
    return;
  }
  if (node.inode.links > 1) seen.set(node.inode, path);
  yield entry;
  for (const name of namesOf(node)) {
    const child = node.children?.get(name);
    if (child !== undefined) yield* walk(child, joinPath(path, name), seen);
  }
}

/** The index knows the digest of every content: no file has to be read. */
function digestOfInode(inode: Inode): string {
  const { entry, digest } = inode.item;
  const xattrs = portable(entry)
    .toSorted(([a], [b]) => compareBytes(a, b))
    .map(([name, value]) => [name, Buffer.from(value).toString('base64')]);
  const { type, mode, uid, gid, size, linkTarget, devMajor, devMinor } = entry;
  const device = [devMajor ?? 0, devMinor ?? 0];
  return digestOfJson([type, mode, uid, gid, size, linkTarget ?? '', device, xattrs, digest ?? '']);
}
