import { readFileSync, readdirSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import { digestHex, isDigest } from '../oci/digest.ts';
import { withStoreLock, readIndex } from './layout.ts';
import { oldestLiveProcess } from './process-dir.ts';
import type { State } from './state-record.ts';
import { storeError } from './store-error.ts';

export interface Swept {
  readonly blobs: number;
  /** Freed. */
  readonly bytes: number;
}

export interface SweepOptions {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** The caller's own, which is no running build. */
  readonly ownTempDir?: string | undefined;
}

const graceMilliseconds = 3_600_000;
const manifestLimit = 8 * 1024 * 1024;

/**
 * Removes blobs that no image, no cache record and no layer of the index refers to. Blobs of the last hour, and those written since the
 * oldest build still running began, stay: what they belong to may be about to be written. Throws STORE_FAILED.
 */
export function removeUnreferenced(root: string, state: State, options: SweepOptions): Promise<Swept> {
  return withStoreLock(root, () => Promise.resolve(sweep(root, state, options)));
}

function sweep(root: string, state: State, options: SweepOptions): Swept {
  const directory = join(root, 'blobs', 'sha256');
  const limit = Math.min(
    options.now - graceMilliseconds,
    oldestLiveProcess(root, options.ownTempDir) ?? Infinity,
  );
  const marked = mark(directory, [
    ...readIndex(root).manifests.map(({ digest }) => digest),
    ...state.digests(),
  ]);
  let blobs = 0;
  let bytes = 0;
  try {
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat === undefined || !stat.isFile() || stat.mtimeMs >= limit || marked.has(`sha256:${name}`))
        continue;
      unlinkSync(path);
      blobs++;
      bytes += stat.size;
    }
  } catch (error) {
    throw storeError(error, 'removing blobs');
  }
  return { blobs, bytes };
}

/** Everything that can be reached: manifests and indexes are followed, whatever refers to them. */
export function mark(directory: string, roots: Iterable<Digest>): ReadonlySet<Digest> {
  const marked = new Set<Digest>();
  const waiting = [...roots];
  for (let digest = waiting.pop(); digest !== undefined; digest = waiting.pop()) {
    if (marked.has(digest)) continue;
    marked.add(digest);
    waiting.push(...referencesOf(join(directory, digestHex(digest))));
  }
  return marked;
}

/** The digests in a manifest or an index; none in any other blob, layers among them. */
function referencesOf(path: string): readonly Digest[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || stat.size > manifestLimit) return [];
  try {
    const bytes = readFileSync(path);
    if (bytes[0] !== 0x7b) return [];
    const { config, layers, manifests } = JSON.parse(bytes.toString()) as Record<string, unknown>;
    return [config, layers, manifests].flat().flatMap((item) => {
      const digest = (item as { digest?: unknown } | null | undefined)?.digest;
      return typeof digest === 'string' && isDigest(digest) ? [digest] : [];
    });
  } catch (error) {
    // Braces that are no JSON refer to nothing; what cannot be read might, so nothing may be removed.
    if (error instanceof SyntaxError) return [];
    throw storeError(error, 'looking for references');
  }
}
