import type { Digest } from '../oci/digest.ts';
import { digestOfJson } from '../oci/digest.ts';
import type { Tree } from './tree.ts';

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
      parts.push([entry.path, await tree.contentDigest(entry.path)]);
    }
    if (!found) parts.push([start, 'missing']);
  }
  return digestOfJson(parts);
}
