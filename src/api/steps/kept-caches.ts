import { createHash } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { fillCacheDirectory, withCacheDirectory } from '../../executor/cache-mounts.ts';
import type { Entry, EntryStream } from '../../image/entry.ts';
import type { Store } from '../../store/store.ts';
import type { ByteStream } from '../../util/streams.ts';
import type { KeptCache, Steps } from './steps.ts';

/** Content of cache mounts, between their directories and blobs of the store. For a process with the rights that its files ask for. */
export function keptCaches({ root, blobs }: Store): Pick<Steps, 'keepCache' | 'fillCache'> {
  return {
    keepCache: (id, signal) =>
      withCacheDirectory({ root, id }, signal, async (directory): Promise<KeptCache> => {
        const [{ compress }, { overlayDiff }, { ownerOf }, { writeTar }] = await Promise.all([
          import('../../image/compression.ts'),
          import('../../image/diff.ts'),
          import('../../image/owners.ts'),
          import('../../image/tar.ts'),
        ]);
        const hash = createHash('sha256');
        const tar = hashed(writeTar(files(overlayDiff(directory))), hash);
        const { digest, size } = await blobs.put(compress(tar, { type: 'zstd' }), {}, signal);
        const stat = lstatSync(directory, { bigint: true });
        const { uid, gid } = ownerOf(directory, stat);
        const mode = Number(stat.mode & 0o7777n);
        return { digest, size, diffId: `sha256:${hash.digest('hex')}`, mode, uid, gid };
      }),
    fillCache: (id, { digest, diffId, mode, uid, gid }, signal) =>
      fillCacheDirectory({ root, id }, signal, async (staging) => {
        const [{ applyEntries }, { decompress }, { readTar }, { verified }] = await Promise.all([
          import('../../image/apply.ts'),
          import('../../image/compression.ts'),
          import('../../image/tar.ts'),
          import('../../image/verify.ts'),
        ]);
        const tar = verified(decompress(blobs.open(digest, { signal }), 'zstd'), { digest: diffId });
        const entries = files(readTar(tar, { whiteouts: false }));
        await applyEntries(entries, staging, { form: 'plain', owners: 'keep', signal });
        return { mode, uid, gid };
      }),
  };
}

/** Devices belong to a machine; in a directory that is no layer those of overlayfs mean nothing. */
async function* files(entries: EntryStream): AsyncGenerator<Entry> {
  for await (const entry of entries)
    if (!['char', 'block', 'whiteout', 'opaque'].includes(entry.type)) yield entry;
}

async function* hashed(bytes: ByteStream, hash: ReturnType<typeof createHash>): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    hash.update(chunk);
    yield chunk;
  }
}
