import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readTar } from '../support/tar.ts';
import type { ImageConfig, ReadImage, TreeNode } from '../support/tree.ts';
import { decompress, flatten } from '../support/tree.ts';

/** An image as it is compared: what the builders under test agreed to make. */
export type FlatImage = Pick<ReadImage, 'config' | 'layers'>;

/** A base image, and the texts that stand for content which another machine's base has otherwise. */
export interface Base {
  readonly layers: readonly string[];
  readonly history: number;
  readonly lines: ReadonlyMap<string, string>;
}

const fields = [
  'Env',
  'Cmd',
  'Entrypoint',
  'WorkingDir',
  'User',
  'ExposedPorts',
  'Labels',
  'Volumes',
  'StopSignal',
  'Healthcheck',
  'OnBuild',
  'Shell',
] as const;

// An mtime outside of these seconds was given by somebody: one inside is that of the build.
const years = { from: Date.UTC(2020) / 1000, to: Date.UTC(2100) / 1000 };

/** What `describeImage` has to know about a base image so that it shows only what a build added to it. */
export function describeBase(image: FlatImage, busybox: string): Base {
  return {
    layers: image.config.rootfs.diff_ids,
    history: image.config.history?.length ?? 0,
    lines: treeOf(image, busybox),
  };
}

/**
 * The image, a line each: its config, what its own steps added to the history, and the objects of its flattened tree that
 * are not as in its base (README.md has the form). `busybox`: the digest of the host's busybox, which is told by its name.
 */
export function describeImage(image: FlatImage, bases: readonly Base[], busybox: string): string[] {
  const { diff_ids: layers } = image.config.rootfs;
  const base = bases.find((item) => item.layers.every((layer, index) => layer === layers[index]));
  const lines = [...configLines(image.config)];
  for (const [index, item] of (image.config.history ?? []).slice(base?.history ?? 0).entries()) {
    const empty = item['empty_layer'] === true ? ' (no layer)' : '';
    lines.push(`history ${index + 1} ${JSON.stringify(item['created_by'] ?? '')}${empty}`);
  }
  const tree = treeOf(image, busybox);
  for (const path of base?.lines.keys() ?? []) if (!tree.has(path)) tree.set(path, 'gone');
  const own = [...tree].filter(([path, text]) => !isSame(base?.lines.get(path), text));
  for (const [path, text] of own.toSorted(([a], [b]) => (a < b ? -1 : 1)))
    lines.push(`${shown(path)} ${text}`);
  return lines;
}

/** A name with control characters as JSON, so that each object has one line. */
function shown(path: string): string {
  return /\p{Cc}/u.test(path) ? JSON.stringify(path) : path;
}

/** A directory of the base that has another mtime was written into; that is no change of its own. */
function isSame(before: string | undefined, after: string): boolean {
  const untimed = (text: string): string => text.replace(/^(directory \d+ \d+:\d+) @-?\d+/, '$1');
  return before !== undefined && untimed(before) === untimed(after);
}

function configLines({ config = {}, author }: ImageConfig): string[] {
  const lines = author === undefined ? [] : [`config author ${author}`];
  for (const field of fields) {
    const value = config[field];
    const empty =
      value === undefined ||
      value === null ||
      value === '' ||
      (typeof value === 'object' && Object.keys(value).length === 0);
    if (!empty) lines.push(`config ${field} ${JSON.stringify(sorted(value))}`);
  }
  return lines;
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function treeOf(image: FlatImage, busybox: string): Map<string, string> {
  const contents = new Map(
    image.layers.flatMap((layer) =>
      layer
        .filter((item) => item.type === 'file')
        .map((item) => [sha256(item.content), item.content] as const),
    ),
  );
  const tree = new Map<string, string>();
  for (const node of flatten(image.layers)) {
    const content = contents.get(node.sha256) ?? Buffer.alloc(0);
    tree.set(`/${node.path}`, objectText(node, node.sha256 === busybox ? 'busybox' : contentText(content)));
  }
  return tree;
}

function objectText(node: TreeNode, content: string): string {
  const seconds = Number(node.mtime.split('.')[0]);
  const xattrs = Object.entries(node.xattrs).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return [
    node.type,
    node.mode,
    `${node.uid}:${node.gid}`,
    seconds < years.from || seconds > years.to ? `@${seconds}` : '',
    node.type === 'file' ? content : '',
    node.linkTarget === '' ? '' : `-> ${node.linkTarget}`,
    node.device,
    node.links.length === 0 ? '' : `= ${node.links.map((name) => `/${name}`).join(' ')}`,
    ...xattrs.map(([name, value]) => `${name}=${value}`),
  ]
    .filter((word) => word !== '')
    .join(' ');
}

/** Short text as a JSON string, anything else as its size and the start of its digest. */
function contentText(content: Buffer): string {
  const text = content.toString();
  // eslint-disable-next-line no-control-regex -- what a golden cannot show
  const plain = content.length <= 300 && Buffer.from(text).equals(content) && !/[\0-\x08\x7f]/.test(text);
  return plain ? JSON.stringify(text) : `${content.length} sha256:${sha256(content).slice(0, 16)}`;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Reads what `docker save` and buildah's docker-archive write, unpacked into `folder`. */
export async function readDockerArchive(folder: string): Promise<FlatImage> {
  const read = async (name: string): Promise<unknown> =>
    JSON.parse(await readFile(join(folder, name), 'utf8'));
  const [manifest] = (await read('manifest.json')) as { Config: string; Layers: string[] }[];
  if (manifest === undefined) throw new Error(`no image in ${folder}`);
  const layers = await Promise.all(
    manifest.Layers.map(async (name) => readTar(decompress(await readFile(join(folder, name))))),
  );
  return { config: (await read(manifest.Config)) as ImageConfig, layers };
}
