import type { Digest } from '../oci/digest.ts';
import { digestOf } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import { contentText, identityOf } from './content-hash.ts';
import type { Entry } from './entry.ts';
import { baseName, compareBytes, joinPath, parentPath } from './entry-path.ts';
import type { IndexedEntry, LayerIndex } from './layer-index.ts';
import { strayHardlink, strayHardlinkHint } from './stray-hardlink.ts';
import { resolveInRoot } from './root-path.ts';
import type { StoredLayer } from './stored-layer.ts';
import type { Tree } from './tree.ts';
import { isPortableXattr } from './xattr.ts';

/** A tree of layers, which knows what content it has. */
export interface LayerTree extends Tree {
  /**
   * Merkle digest of all that is at and below `path`, links followed on the way to it: names, types, modes, owners, attributes, contents,
   * and which names are one file; never an mtime, nor which layer has what. No content is read for it. undefined: nothing is there.
   */
  identity(path: string): Promise<Digest | undefined>;
  /**
   * The directories that a layer has put something into without saying what they are, with those above them, as entries, parents first:
   * where the layers are stacked as they are, the topmost shows such a directory as 0755 and root's, and not as a lower layer says.
   */
  covered(): Promise<readonly Entry[]>;
}

/** Trees of stacks that have layers in common: what they share is read and laid out once. It keeps all that it was asked for. */
export interface LayerTrees {
  of(layers: readonly StoredLayer[]): LayerTree;
}

/** A stack of layers; those above it share its nodes. */
interface Stack {
  readonly above: Map<Digest, Stack>;
  built: Promise<Node> | undefined;
}

export function layerTrees(): LayerTrees {
  const empty: Stack = { above: new Map(), built: Promise.resolve(impliedDirectory({ number: -1 })) };
  const build = async (layers: readonly StoredLayer[]): Promise<Node> => {
    // Read side by side, laid out one after the other.
    const indices = await Promise.all(layers.map((layer) => layer.index()));
    let stack = empty;
    for (const [number, layer] of layers.entries()) {
      const below = stack;
      let next: Stack | undefined = below.above.get(layer.knownDiffId);
      if (next === undefined)
        below.above.set(layer.knownDiffId, (next = { above: new Map(), built: undefined }));
      next.built ??= (async (): Promise<Node> => {
        const place: Place = { root: (await below.built) as Node, source: layer, edition: { number } };
        for (const item of indices[number]?.entries ?? []) add(place, item);
        return place.root;
      })();
      await next.built;
      stack = next;
    }
    return stack.built as Promise<Node>;
  };
  return {
    of: (layers) => {
      let built: Promise<Node> | undefined;
      return treeOf(() => {
        built ??= build(layers).catch((error: unknown) => {
          built = undefined;
          throw error;
        });
        return built;
      });
    },
  };
}

/**
 * What a container sees of stacked layers, base to top (OCI image-spec, layer.md "Applying Changesets"). Reads the indices of all layers
 * when first asked something; contents only when they are opened. A layer's links count for its own entries only: a parent that is a
 * link in a lower layer is replaced by a directory, as `applyEntries` does. Throws IMAGE_INVALID when a layer cannot be read.
 */
export function layerTree(layers: readonly StoredLayer[]): LayerTree {
  return layerTrees().of(layers);
}

/** What one layer leaves in its own directory, by path there: its last word on each, whatever links its names went through. */
export function ownFiles({ entries }: LayerIndex): ReadonlyMap<string, IndexedEntry> {
  const place: Place = {
    root: impliedDirectory({ number: -1 }),
    source: undefined,
    edition: { number: 0 },
  };
  for (const item of entries) add(place, item);
  const files = new Map<string, IndexedEntry>();
  const waiting: [string, Node][] = [['', place.root]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [path, { children, inode }] = next;
    if (inode.item !== implied) files.set(path, inode.item);
    for (const [name, child] of children ?? []) waiting.push([joinPath(path, name), child]);
  }
  return files;
}

function treeOf(root: () => Promise<Node>): LayerTree {
  const lookup = async (path: string): Promise<Node | undefined> => descend(await root(), path);
  const lstat = async (path: string): Promise<Entry | undefined> => {
    const node = await lookup(path);
    return node === undefined ? undefined : entryOf(node, path);
  };
  const resolve: Tree['resolve'] = (path, last) => resolveInRoot({ lstat }, path, last);
  return {
    lstat,
    list: async (path) => namesOf(await lookup(path)),
    resolve,
    walk: async function* (path) {
      const node = await lookup(path);
      if (node !== undefined) yield* walk(node, path, new Map());
    },
    contentDigest: async (path) => {
      const node = await lookup(path);
      if (node === undefined) throw new RangeError(`no file ${path}`);
      return textOf(node.inode);
    },
    identity: async (path) => {
      const node = await lookup(await resolve(path.replace(/^\/+/, '')));
      return node === undefined ? undefined : identityOf(merkle(node), linkedNames(node));
    },
    covered: async () => {
      const found: Entry[] = [];
      addCovered(found, await root(), '');
      return found;
    },
  };
}

/** A file, whatever its names. */
interface Inode {
  readonly item: IndexedEntry;
  readonly layer: StoredLayer | undefined;
  /** Names that it was given, in any stack. */
  links: number;
  text?: string;
}

/** One layer in one stack, by its number. */
interface Edition {
  readonly number: number;
}

/** Nodes are shared by all stacks that have them; only those of the layer that is being added may be changed. */
interface Node {
  inode: Inode;
  /** Number of the layer that gave it its inode. */
  layer: number;
  /** Of directories. */
  children: Map<string, Node> | undefined;
  /** Who may change it. */
  readonly edition: Edition;
  /** Of directories: of all that is in it, once somebody asked. */
  digest?: string | undefined;
}

const maxLinks = 255;
const implied: IndexedEntry = {
  entry: { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0n },
  offset: 0,
};

function impliedDirectory(edition: Edition): Node {
  const inode = { item: implied, layer: undefined, links: 1 };
  return { inode, layer: edition.number, children: new Map(), edition };
}

/** Where a layer is being added. */
interface Place {
  root: Node;
  readonly source: StoredLayer | undefined;
  readonly edition: Edition;
}

function add(place: Place, item: IndexedEntry): void {
  const { source, edition } = place;
  const { entry } = item;
  if (entry.type === 'opaque') {
    const { children } = changed(place, locate(place, entry.path, 'make') ?? []);
    for (const [name, child] of children ?? []) replace(children, name, withoutLower(place, child));
    return;
  }
  // What a layer says of the root counts for nothing (`readTar`).
  if (entry.path === '') return;
  const name = baseName(entry.path);
  const { children: siblings } = changed(place, locate(place, parentPath(entry.path), 'make') ?? []);
  const existing = siblings?.get(name);
  if (entry.type === 'whiteout') {
    if (existing !== undefined) replace(siblings, name, withoutLower(place, existing));
    return;
  }
  const inode = entry.type === 'hardlink' ? linked(place, entry) : { item, layer: source, links: 1 };
  const children =
    entry.type !== 'directory' ? undefined : new Map<string, Node>(existing?.children?.entries());
  siblings?.set(name, { inode, layer: edition.number, children, edition });
}

function replace(children: Map<string, Node> | undefined, name: string, node: Node | undefined): void {
  if (node === undefined) children?.delete(name);
  else children?.set(name, node);
}

function linked(place: Place, entry: Entry): Inode {
  const target = entry.linkTarget ?? '';
  const found = locate(place, parentPath(target))?.at(-1)?.node.children?.get(baseName(target));
  // Of this very layer, as `applyEntries` wants it.
  if (found === undefined || found.children !== undefined || found.layer !== place.edition.number)
    throw new BuildError('IMAGE_INVALID', `the layer cannot be read: ${strayHardlink(entry)}`, {
      hint: strayHardlinkHint,
    });
  found.inode.links += 1;
  return found.inode;
}

/** What is left of a node without what lower layers have at and below it. */
function withoutLower(place: Place, node: Node): Node | undefined {
  const { edition } = place;
  const children = node.children && new Map<string, Node>();
  for (const [name, child] of node.children ?? []) {
    const left = withoutLower(place, child);
    if (left !== undefined) children?.set(name, left);
  }
  if (node.layer === edition.number) return { ...node, children, edition, digest: undefined };
  if (children === undefined || children.size === 0) return undefined;
  // It stays only as the parent of what this layer has put there.
  return { ...impliedDirectory(edition), children };
}

/** The directories from the root to one, each with its name. */
type Trail = { readonly name: string; node: Node }[];

/** The last directory of a trail, which may then be changed: those on the way become this layer's own. */
function changed(place: Place, trail: Trail): Node {
  let above: Node | undefined;
  for (const step of trail) {
    if (step.node.edition !== place.edition) {
      step.node = { ...step.node, children: new Map(step.node.children), edition: place.edition };
      if (above === undefined) place.root = step.node;
      else above.children?.set(step.name, step.node);
    }
    step.node.digest = undefined;
    above = step.node;
  }
  return above ?? place.root;
}

/** The directory that a layer means by a path: through links of the same layer. */
function locate(place: Place, path: string, missing?: 'make'): Trail | undefined {
  const { edition } = place;
  const waiting = path.split('/').toReversed();
  let trail: Trail = [{ name: '', node: place.root }];
  let links = 0;
  while (waiting.length > 0) {
    const part = waiting.pop();
    if (part === undefined || part === '' || part === '.') continue;
    if (part === '..') {
      if (trail.length > 1) trail.pop();
      continue;
    }
    let child = trail.at(-1)?.node.children?.get(part);
    const target = child?.layer === edition.number ? child.inode.item.entry.linkTarget : undefined;
    if (target !== undefined) {
      links += 1;
      if (links > maxLinks)
        throw new BuildError('IMAGE_INVALID', `/${path} goes through too many symbolic links`);
      if (target.startsWith('/')) trail = [{ name: '', node: place.root }];
      waiting.push(...target.split('/').toReversed());
      continue;
    }
    if (child?.children === undefined) {
      if (missing !== 'make') return undefined;
      if (child?.layer === edition.number)
        throw new BuildError('IMAGE_INVALID', `/${path} has a parent that is no directory`);
      child = impliedDirectory(edition);
      changed(place, trail).children?.set(part, child);
    }
    trail.push({ name: part, node: child });
  }
  return trail;
}

function descend(root: Node, path: string): Node | undefined {
  let node: Node | undefined = root;
  if (path === '') return node;
  for (const part of path.split('/')) node = node?.children?.get(part);
  return node;
}

function entryOf({ inode }: Node, path: string): Entry {
  const { entry, offset } = inode.item;
  const { xattrs: _, ...rest } = entry;
  const xattrs = portable(entry);
  const { layer } = inode;
  return {
    ...rest,
    path,
    ...(xattrs.length === 0 ? {} : { xattrs: Object.fromEntries(xattrs) }),
    ...(entry.type !== 'file' || layer === undefined
      ? {}
      : { content: () => layer.readFile(entry.path, offset) }),
  };
}

/** Whether a layer above the one that says what this directory is has put something into it. */
function isCovered(node: Node): boolean {
  const { children, inode, layer, edition } = node;
  return children !== undefined && layer !== edition.number && inode.item !== implied;
}

/** Those below a directory. */
function addCovered(found: Entry[], directory: Node, path: string): void {
  for (const [name, child] of directory.children ?? []) {
    if (child.children === undefined) continue;
    const place = joinPath(path, name);
    const before = found.length;
    found.push(entryOf(child, place));
    addCovered(found, child, place);
    if (found.length === before + 1 && !isCovered(child)) found.pop();
  }
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
function textOf(inode: Inode): string {
  if (inode.text !== undefined) return inode.text;
  const { entry, digest } = inode.item;
  inode.text = contentText({ ...entry, xattrs: Object.fromEntries(portable(entry)) }, digest ?? '');
  return inode.text;
}

/** Of a directory the digest of its own text and of all that is in it; of anything else its text. */
function merkle(node: Node): string {
  const { children } = node;
  if (children === undefined) return textOf(node.inode);
  if (node.digest !== undefined) return node.digest;
  const parts = [textOf(node.inode)];
  for (const name of [...children.keys()].toSorted()) parts.push(name, merkle(children.get(name) as Node));
  // An array of texts: its JSON is canonical, and none of them can run into the next.
  node.digest = digestOf(JSON.stringify(parts));
  return node.digest;
}

/** The names of each file that has several, by path below the node. */
function linkedNames(top: Node): readonly (readonly string[])[] {
  const names = new Map<Inode, string[]>();
  const waiting: [string, Node][] = [['', top]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [path, node] = next;
    if (node.children === undefined && node.inode.links > 1) {
      const known = names.get(node.inode);
      if (known === undefined) names.set(node.inode, [path]);
      else known.push(path);
    }
    for (const [name, child] of node.children ?? []) waiting.push([`${path}/${name}`, child]);
  }
  return [...names.values()].filter(({ length }) => length > 1);
}
