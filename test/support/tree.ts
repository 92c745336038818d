import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { TarEntry } from './tar.ts';
import { readTar } from './tar.ts';

/** One object of an image's flattened file system. */
export interface TreeNode {
  readonly path: string;
  readonly type: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly sha256: string;
  /** Of a symlink. Hard links are told by `links`. */
  readonly linkTarget: string;
  readonly device: string;
  readonly xattrs: Readonly<Record<string, string>>;
  readonly mtime: string;
  /** The other names of the same file, sorted. */
  readonly links: readonly string[];
}

export interface ReadImage {
  readonly digest: string;
  readonly manifest: Manifest;
  /** The config as JSON. */
  readonly config: ImageConfig;
  /** Uncompressed layers, base to top. */
  readonly layers: readonly (readonly TarEntry[])[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly mediaType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly manifests?: readonly Descriptor[];
}

export interface ImageConfig {
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly history?: readonly Readonly<Record<string, unknown>>[];
}

/** Reads an image of an OCI layout and checks every digest on the way. Without `name`: the only image of the index. */
export async function readLayout(folder: string, name?: string): Promise<ReadImage> {
  const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as { manifests: Descriptor[] };
  const found = index.manifests.filter(
    (item) => name === undefined || Object.values(item.annotations ?? {}).includes(name),
  );
  const descriptor = found[0];
  if (descriptor === undefined)
    throw new Error(`no image ${name ?? ''} in ${folder}: ${JSON.stringify(index)}`);
  const blob = (digest: string): Promise<Buffer> => readBlob(folder, digest);
  let manifest = JSON.parse((await blob(descriptor.digest)).toString()) as Manifest;
  let { digest } = descriptor;
  if (manifest.manifests?.[0] !== undefined) {
    digest = manifest.manifests[0].digest;
    manifest = JSON.parse((await blob(digest)).toString()) as Manifest;
  }
  const config = JSON.parse((await blob(manifest.config.digest)).toString()) as ImageConfig;
  const layers: TarEntry[][] = [];
  for (const [position, layer] of manifest.layers.entries()) {
    const tar = decompress(await blob(layer.digest));
    const diffId = `sha256:${createHash('sha256').update(tar).digest('hex')}`;
    if (config.rootfs.diff_ids[position] !== diffId) throw new Error(`layer ${position} is not its diff_id`);
    layers.push(readTar(tar));
  }
  return { digest, manifest, config, layers };
}

async function readBlob(folder: string, digest: string): Promise<Buffer> {
  const bytes = await readFile(join(folder, 'blobs', digest.replace(':', '/')));
  if (`sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest) {
    throw new Error(`blob ${digest} has other content`);
  }
  return bytes;
}

/** A layer's tar, from any of the compressions that layers have. */
export function decompress(bytes: Buffer): Buffer {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes);
  if (bytes.readUInt32LE(0) === 0xfd2fb528) return zstdDecompressSync(bytes);
  return bytes;
}

/** Stacks layers as OCI image-spec, layer.md says: whiteouts hide what lower layers have; a new type replaces the old object. */
export function flatten(layers: ReadImage['layers']): TreeNode[] {
  let tree = new Map<string, TarEntry>();
  for (const layer of layers) {
    const own = new Map<string, TarEntry>();
    const hide = (path: string, self: boolean): void => {
      for (const known of tree.keys()) {
        if ((self && known === path) || (path === '' ? known !== '' : known.startsWith(`${path}/`)))
          tree.delete(known);
      }
    };
    for (const item of layer) {
      const cut = item.path.lastIndexOf('/');
      const parent = item.path.slice(0, Math.max(cut, 0));
      const base = item.path.slice(cut + 1);
      if (base === '.wh..wh..opq') hide(parent, false);
      else if (base.startsWith('.wh.'))
        hide(parent === '' ? base.slice(4) : `${parent}/${base.slice(4)}`, true);
      else {
        if (tree.get(item.path)?.type === 'directory' && item.type !== 'directory') hide(item.path, false);
        const target =
          item.type === 'hardlink'
            ? (own.get(clean(item.linkTarget)) ?? tree.get(clean(item.linkTarget)))
            : item;
        if (target === undefined)
          throw new Error(`hard link ${item.path} to ${item.linkTarget}, which is not there`);
        own.set(item.path, target);
      }
    }
    tree = new Map([...tree, ...own]);
  }
  const names = new Map<TarEntry, string[]>();
  for (const [path, item] of tree) names.set(item, [...(names.get(item) ?? []), path]);
  return [...tree]
    .map(([path, item]) => node(path, item, names.get(item) ?? []))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function node(path: string, item: TarEntry, names: readonly string[]): TreeNode {
  return {
    path,
    type: item.type,
    mode: item.type === 'symlink' ? '' : item.mode.toString(8).padStart(4, '0'),
    uid: item.uid,
    gid: item.gid,
    size: item.size,
    sha256: item.type === 'file' ? createHash('sha256').update(item.content).digest('hex') : '',
    linkTarget: item.type === 'symlink' ? item.linkTarget : '',
    device: item.device,
    xattrs: item.xattrs,
    mtime: item.mtime,
    links: names.filter((name) => name !== path).toSorted(),
  };
}

function clean(path: string): string {
  return path.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
}

/** One line for each object: what a golden shows, and what two builders' results are compared by. No mtime. */
export function treeLines(nodes: readonly TreeNode[]): string[] {
  return nodes.map((item) =>
    [
      `/${item.path}`,
      item.type,
      item.mode || '-',
      `${item.uid}:${item.gid}`,
      item.type === 'file' ? `${item.size} ${item.sha256.slice(0, 16)}` : '',
      item.linkTarget === '' ? '' : `-> ${item.linkTarget}`,
      item.device,
      item.links.length === 0 ? '' : `= ${item.links.map((name) => `/${name}`).join(' ')}`,
      ...Object.entries(item.xattrs)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, value]) => `${name}=${value}`),
    ]
      .filter((word) => word !== '')
      .join(' '),
  );
}
