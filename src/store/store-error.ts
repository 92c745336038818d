import { sep } from 'node:path';
import { BuildError } from '../util/build-error.ts';
import { exhaustion, inWords } from '../util/system-error.ts';
import { hasNoRoom } from './disk-space.ts';

const writableHint = 'the store must be writable; choose another place for it with --root';
const refusals: ReadonlySet<string | undefined> = new Set(['EACCES', 'EPERM', 'EROFS']);
const fullCodes: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);
/** SQLITE_READONLY, SQLITE_IOERR and SQLITE_FULL. */
const sqliteReadOnly = 8;
const sqliteInputOutput = 10;
const sqliteFull = 13;

/** As storeError where no space is left; what has other reasons stays what it is. */
export function fullDiskError(error: unknown, doing: string): unknown {
  return fullCodes.has((error as { code?: string }).code) ? storeError(error, doing) : error;
}

/**
 * What a failed read or write of the store is to the user: DISK_FULL when no space is left, else STORE_FAILED. A BuildError passes.
 * `root` is that of the index: where the memory that its readers share cannot grow, SQLite says no more than "disk I/O error".
 */
export function storeError(error: unknown, doing: string, root?: string): BuildError {
  if (error instanceof BuildError) return error;
  const { code, errcode, message } = error as { code?: string; errcode?: number; message?: string };
  const isFull =
    errcode === sqliteFull ||
    (((errcode ?? 0) & 0xff) === sqliteInputOutput && root !== undefined && hasNoRoom(root));
  if (fullCodes.has(code) || isFull) {
    return new BuildError('DISK_FULL', `no space left while ${doing}`, {
      hint: 'free some space, or choose another place for the store with --root',
      cause: error,
    });
  }
  const hint = refusals.has(code) || errcode === sqliteReadOnly ? writableHint : exhaustion(error)?.hint;
  return new BuildError('STORE_FAILED', `${doing} failed: ${message ?? String(error)}`, {
    hint,
    cause: error,
  });
}

/**
 * The last word on a file below `root` that could not be used, where nobody nearer has said what it was for: what is there is damaged, or is not
 * this user's. Errors of other files, and all that are none of the system's, stay as they are.
 */
export function storeFileError(error: unknown, root: string): unknown {
  const { code, path, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (error instanceof BuildError || syscall === undefined || typeof path !== 'string') return error;
  if (path !== root && !path.startsWith(`${root}${sep}`)) return error;
  return new BuildError('STORE_FAILED', `cannot use ${path} of the store: ${inWords(error)}`, {
    hint: refusals.has(code)
      ? writableHint
      : '`tsbuild store check` tells what is damaged, with --repair it mends it',
    cause: error,
  });
}
