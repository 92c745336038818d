import type { Entry } from './entry.ts';
import { checkPathLength } from './entry-path.ts';
import type { Tree } from './tree.ts';
import { lookupUser, readUserFile } from './users.ts';
import { BuildError } from '../util/build-error.ts';

export interface MakeDirectory {
  /** Absolute. */
  readonly path: string;
  /** As in USER; owns what is made. '' is root. */
  readonly user: string;
  readonly base: Tree | undefined;
  /** mtime of what is made, nanoseconds. */
  readonly now: bigint;
}

/**
 * The layer of a WORKDIR (L-WD-1): its directory and missing parents, mode 0755, owned by the user; existing parents as
 * the base has them, so that the layer says nothing new of them. No entries when everything is there.
 * Errors: COPY_INVALID when a part is no directory, USER_UNKNOWN.
 */
export async function* makeDirectoryEntries(request: MakeDirectory): AsyncGenerator<Entry> {
  const { base, now } = request;
  const wanted = request.path.replace(/^\/+/, '');
  const resolved = base === undefined ? wanted : await base.resolve(wanted);
  checkPathLength(resolved);
  const parts = resolved === '' ? [] : resolved.split('/');
  const existing: Entry[] = [];
  let depth = 0;
  for (; depth < parts.length; depth += 1) {
    const entry = await base?.lstat(parts.slice(0, depth + 1).join('/'));
    if (entry === undefined) break;
    if (entry.type !== 'directory') {
      throw new BuildError('COPY_INVALID', `\`/${entry.path}\` is no directory in the image`, {
        hint: 'choose another WORKDIR, or remove the file in a step before',
      });
    }
    existing.push(entry);
  }
  if (depth === parts.length) return;
  yield* existing;
  const owner = await ownerOf(request.user, base);
  for (; depth < parts.length; depth += 1) {
    const path = parts.slice(0, depth + 1).join('/');
    yield { path, type: 'directory', mode: 0o755, ...owner, size: 0, mtime: now };
  }
}

async function ownerOf(user: string, base: Tree | undefined): Promise<{ uid: number; gid: number }> {
  if (user === '') return { uid: 0, gid: 0 };
  const read = async (path: string): Promise<string | undefined> =>
    base === undefined ? undefined : readUserFile(base, path);
  const { uid, gid } = await lookupUser(user, read);
  return { uid, gid };
}
