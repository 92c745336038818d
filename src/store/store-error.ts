import { BuildError } from '../util/build-error.ts';

const fullCodes: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT']);
/** SQLITE_READONLY and SQLITE_FULL. */
const sqliteReadOnly = 8;
const sqliteFull = 13;

/** As storeError where no space is left; what has other reasons stays what it is. */
export function fullDiskError(error: unknown, doing: string): unknown {
  return fullCodes.has((error as { code?: string }).code) ? storeError(error, doing) : error;
}

/** What a failed read or write of the store is to the user: DISK_FULL when no space is left, else STORE_FAILED. A BuildError passes. */
export function storeError(error: unknown, doing: string): BuildError {
  if (error instanceof BuildError) return error;
  const { code, errcode, message } = error as { code?: string; errcode?: number; message?: string };
  if (fullCodes.has(code) || errcode === sqliteFull) {
    return new BuildError('DISK_FULL', `no space left while ${doing}`, {
      hint: 'free some space, or choose another place for the store with --root',
      cause: error,
    });
  }
  const hint =
    code === 'EACCES' || code === 'EPERM' || code === 'EROFS' || errcode === sqliteReadOnly
      ? 'the store must be writable; choose another place for it with --root'
      : undefined;
  return new BuildError('STORE_FAILED', `${doing} failed: ${message ?? String(error)}`, {
    hint,
    cause: error,
  });
}
