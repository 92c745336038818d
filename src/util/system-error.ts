import { BuildError } from './build-error.ts';

const words: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EEXIST: 'there is a file of this name',
  EFBIG: 'it is too large',
  EFTYPE: 'it is no ordinary file',
  EISDIR: 'it is a directory',
  ELOOP: 'there are too many symbolic links in its path',
  EMFILE: 'this process may have no more files open',
  ENAMETOOLONG: 'its name is too long',
  ENOENT: 'no such file or directory',
  ENOTDIR: 'a part of its path is no directory',
  ENXIO: 'nobody reads it',
  EPERM: 'operation not permitted',
  EROFS: 'its file system is read-only',
};

/** Why a system call on a file has failed, without the call and the path, which messages name themselves. Other errors say it themselves. */
export function inWords(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return words[code ?? ''] ?? message ?? String(error);
}

/** Calls of Node's that write; ENOSPC of others, such as mount, is no matter of space. */
const writing = new Set([
  'write',
  'open',
  'mkdir',
  'mkdtemp',
  'copyfile',
  'symlink',
  'link',
  'rename',
  'ftruncate',
  'fsync',
  'close',
]);

interface Exhaustion {
  readonly what: string;
  readonly hint: string;
}

const noProcess: Exhaustion = {
  what: 'no further process or thread can be started',
  hint: 'end some, or raise the limit of the user (`ulimit -u`) or of the container (pids)',
};
const noMemory: Exhaustion = {
  what: 'there is not enough memory',
  hint: 'end other programs, or give this container more',
};
const exhaustions: Readonly<Record<string, Exhaustion>> = {
  EFBIG: {
    what: 'a file grew larger than this process or its disk allows',
    hint: 'raise the limit of the size of files (`ulimit -f`)',
  },
  EMFILE: {
    what: 'this process may have no more files open',
    hint: 'raise the limit of open files, with `ulimit -n 4096` perhaps',
  },
  ENFILE: {
    what: 'this machine may have no more files open',
    hint: 'end other programs, or raise fs.file-max',
  },
  ENOMEM: noMemory,
  ERR_WORKER_INIT_FAILED: noProcess,
  ERR_WORKER_OUT_OF_MEMORY: noMemory,
};

/** What this process has run out of, by the error of a call, and what helps; undefined where it is nothing but space on a disk, or something else. */
export function exhaustion(error: unknown): Exhaustion | undefined {
  const { code = '', syscall = '' } = (error ?? {}) as NodeJS.ErrnoException;
  // Of other calls it means that they are to be made again; a file that is too large may also be one to read.
  if (code === 'EAGAIN') return /^(spawn|fork|clone)/.test(syscall) ? noProcess : undefined;
  if (code === 'EFBIG' && !/^(write|ftruncate|copyfile)$/.test(syscall)) return undefined;
  return Object.hasOwn(exhaustions, code) ? exhaustions[code] : undefined;
}

/**
 * The last word on what failed because the machine gives no more, where nobody nearer has said what it was for: DISK_FULL, UNSUPPORTED_HERE, or USAGE for a current directory that is gone, in
 * the place of Node's error. All other errors stay as they are.
 */
export function machineError(error: unknown): unknown {
  const { code, syscall = '', path } = (error ?? {}) as NodeJS.ErrnoException;
  if (error instanceof BuildError) return error;
  if (syscall === 'uv_cwd')
    return new BuildError('USAGE', 'the current directory has been removed', {
      hint: 'change to one that is there',
      cause: error,
    });
  const exhausted = exhaustion(error);
  if (exhausted !== undefined)
    return new BuildError('UNSUPPORTED_HERE', exhausted.what, { hint: exhausted.hint, cause: error });
  if ((code !== 'ENOSPC' && code !== 'EDQUOT') || !writing.has(syscall)) return error;
  const what = path === undefined ? 'on a disk that is written to' : `while writing \`${path}\``;
  return new BuildError('DISK_FULL', `no space left ${what}`, {
    hint: 'free some space on the disk of the store (--root) and on that of temporary files (TMPDIR)',
    cause: error,
  });
}

/** A file of the user that cannot be written: DISK_FULL, or OUTPUT_FAILED. `what` names it, with its path. */
export function writeError(what: string, cause: unknown): BuildError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new BuildError('DISK_FULL', `no space left while writing ${what}`, {
      cause,
      hint: 'free some space or choose another destination',
    });
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
  const other = code === 'EEXIST' ? 'choose another destination' : 'choose a destination where you may write';
  return new BuildError('OUTPUT_FAILED', `cannot write ${what}: ${inWords(cause)}`, {
    cause,
    hint: isMissing ? 'make its directory first, or choose another destination' : other,
  });
}

/** What a failed write to `path` means for the user (`writeError`); errors that are no system errors stay as they are. */
export function outputError(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (error instanceof BuildError || typeof code !== 'string' || !/^E[A-Z]+$/.test(code)) return error;
  return writeError(path, error);
}
