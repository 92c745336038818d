import type { Digest } from '../oci/digest.ts';
import { digestOf, digestOfJson } from '../oci/digest.ts';
import type { Entry } from './entry.ts';
import type { Tree } from './tree.ts';
import { xattrList } from './xattr.ts';

/**
 * What a cache key has of one file: type, mode, owner, size, link target, device, attributes and content; never an mtime. Canonical JSON, not
 * hashed: keys are made of it, and those are. @param content Digest of the content, '' for what has none.
 */
export function contentText(entry: Omit<Entry, 'path' | 'mtime' | 'content'>, content: string): string {
  const { type, mode, uid, gid, size, linkTarget = '', devMajor = 0, devMinor = 0, xattrs } = entry;
  return JSON.stringify([
    ...[type, mode, uid, gid, size, linkTarget, devMajor, devMinor],
    ...[xattrList(xattrs), content],
  ]);
}

/** The parts of such a text as explanations have them: path, kind and mode, owner, short hash of all else. */
export function fileComponent(
  path: string,
  text: string,
): readonly [path: string, mode: string, owner: string, hash: string] {
  if (!text.startsWith('[')) return [path, text === 'directory' ? 'd' : '-', '', shortHash(text)];
  const end = text.lastIndexOf(']') + 1;
  // Of a context the owner is a pair.
  const [type, mode, ...rest] = (JSON.parse(text.slice(0, end)) as readonly unknown[]).flat();
  const [uid, gid, ...others] = rest;
  const letter = letters[String(type)] ?? '-';
  return [
    path,
    `${letter}${Number(mode).toString(8).padStart(4, '0')}`,
    `${Number(uid)}:${Number(gid)}`,
    shortHash(JSON.stringify([others, text.slice(end)])),
  ];
}

/** Types as entries and as stat(2) have them. */
const letters: Readonly<Record<string, string>> = {
  ...{ directory: 'd', file: 'f', symlink: 'l', hardlink: 'h' },
  ...{ [0o40000]: 'd', [0o100000]: 'f', [0o120000]: 'l' },
};

function shortHash(text: string): string {
  return digestOf(text).slice('sha256:'.length, 'sha256:'.length + 12);
}

/** Identity of a file or directory tree. @param links The names of each file that has several of them, in any order. */
export function identityOf(merkle: string, links: readonly (readonly string[])[]): Digest {
  const groups = links.map((names) => JSON.stringify(names.toSorted())).toSorted();
  return digestOf(JSON.stringify(['tsbuild.content/1', merkle, groups]));
}

/**
 * Content key of what is below some paths of a tree: names and content digests, in order; never an mtime (spec K-6). A path that is
 * missing counts as such, so that its appearing changes the key.
 */
export async function treeContentKey(tree: Tree, paths: readonly string[]): Promise<Digest> {
  const parts: (readonly [string, string])[] = [];
  for (const path of [...new Set(paths)].toSorted()) {
    const start = await tree.resolve(path.replace(/^\/+/, ''));
    let found = false;
    for await (const entry of tree.walk(start)) {
      found = true;
      const link = entry.type === 'hardlink' ? `=${entry.linkTarget ?? ''}` : '';
      parts.push([entry.path, `${await tree.contentDigest(entry.path)}${link}`]);
    }
    if (!found) parts.push([start, 'missing']);
  }
  return digestOfJson(parts);
}
