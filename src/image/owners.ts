import type { BigIntStats } from 'node:fs';
import { lchownSync, lstatSync } from 'node:fs';
import { hasSingleId } from '../host/probe.ts';
import { getxattr, lgetxattr, lremovexattr, lsetxattr, removexattr, setxattr } from '../host/syscalls.ts';

// In a user namespace with a single id every file belongs to its root. Whom an image or a step gave a file to is kept in an attribute of the
// file then: overlayfs copies it up with the file, and the next layer gets its owners from there. Neither images nor steps can write it
// (`isPortableXattr`).

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export const ownerXattr = 'user.tsbuild.owner';

let single: boolean | undefined;

/** Can files have but one owner here? */
export function ownersAreRecorded(): boolean {
  return (single ??= hasSingleId());
}

/** Gives the file itself to somebody; where there is a single id this is only written down, as far as the kind of file allows. */
export function giveTo(path: string, owner: Owner): void {
  if (!ownersAreRecorded()) return lchownSync(path, owner.uid, owner.gid);
  const stat = lstatSync(path);
  if (stat.isFile() || stat.isDirectory()) recordOwner(path, owner);
}

/** Who the file itself belongs to. */
export function ownerOf(path: string, stat: BigIntStats): Owner {
  const recorded = ownersAreRecorded() ? recordedOwner(path) : undefined;
  return recorded ?? { uid: Number(stat.uid), gid: Number(stat.gid) };
}

/** What is written down of a file itself, or of what a path leads to; undefined: nothing, it is root's. */
export function recordedOwner(path: string, links: 'keep' | 'follow' = 'keep'): Owner | undefined {
  const text = (links === 'follow' ? getxattr : lgetxattr)(path, ownerXattr)?.toString() ?? '';
  const [, uid, gid] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}

/** Writes down the owner of a file or directory: nothing else has attributes of users (xattr(7)). */
export function recordOwner(path: string, { uid, gid }: Owner, links: 'keep' | 'follow' = 'keep'): void {
  try {
    if (uid === 0 && gid === 0) (links === 'follow' ? removexattr : lremovexattr)(path, ownerXattr);
    else (links === 'follow' ? setxattr : lsetxattr)(path, ownerXattr, Buffer.from(`${uid}:${gid}`));
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // There was none; or a filesystem in memory, of which no layer is made.
    if (!['ENODATA', 'ENOTSUP', 'EOPNOTSUPP'].includes(code)) throw error;
  }
}
