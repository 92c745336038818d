import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

// The only importer of koffi: how C functions of the process's own libc are called. `syscalls.ts` has
// them. The library is loaded on the first call, so importing
// this module is free. Everything is synchronous, costs about a microsecond, and throws Node-like errors (code, errno,
// syscall, path). Paths with a NUL byte are refused: C would cut them short.

interface Native {
  (...args: readonly unknown[]): number | bigint;
  /** On another thread; the last argument gets the result. */
  async(...args: readonly unknown[]): void;
}
interface Koffi {
  load(path: null): { func(name: string, result: string, parameters: readonly string[]): Native };
  errno(): number;
}

/** File names: text is passed as UTF-8; bytes as they are. */
export type RawPath = string | Uint8Array;

let koffi: Koffi | undefined;
let library: ReturnType<Koffi['load']> | undefined;
const natives = new Map<string, Native>();

/** A C function of the running process's own libc (glibc or musl). */
export function native(name: string, result: string, parameters: readonly string[]): Native {
  const key = `${name} ${parameters.join()}`;
  let found = natives.get(key);
  if (found === undefined) {
    koffi ??= createRequire(import.meta.url)('koffi') as Koffi;
    library ??= koffi.load(null);
    found = library.func(name, result, parameters);
    natives.set(key, found);
  }
  return found;
}

/** An error of a system call, as Node makes them. */
export interface SyscallError extends Error {
  readonly code: string;
  /** Negative, as in Node. */
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string;
}

function failure(number: number, syscall: string, path?: RawPath): SyscallError {
  const [code, text] = getSystemErrorMap().get(-number) ?? [
    Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `E${number}`,
    'system call failed',
  ];
  const shown = typeof path === 'string' ? path : path && Buffer.from(path).toString();
  const error = new Error(`${code}: ${text}, ${syscall}${shown === undefined ? '' : ` '${shown}'`}`);
  return Object.assign(error, {
    code,
    errno: -number,
    syscall,
    ...(shown === undefined ? {} : { path: shown }),
  });
}

/** What comes of one call: its result, and errno where that is -1. */
export interface Attempt {
  readonly result: number;
  readonly errno?: number;
}

/** Of these the engine's own calls know nothing. */
const certain: ReadonlySet<number> = new Set([constants.errno.ENODATA, constants.errno.EOPNOTSUPP]);

/**
 * Between the return of a C function and the reading of errno the engine may make calls of its own, seldom, and errno is then theirs. A call
 * that failed has done nothing: it is made again until it says the same twice, or succeeds.
 */
export function confirmed(attempt: () => Attempt): Attempt {
  let said: number | undefined;
  for (let turn = 0; ; turn += 1) {
    const outcome = attempt();
    const { errno } = outcome;
    if (errno === undefined || errno === said || certain.has(errno) || turn === 9) return outcome;
    said = errno;
  }
}

/** Calls and throws on -1. A call that fails may be made several times, unless it is to be made `once`. */
export function call(
  name: string,
  parameters: readonly string[],
  args: readonly unknown[],
  about?: { readonly as?: string; readonly path?: RawPath; readonly once?: boolean },
): number {
  const attempt = (): Attempt => {
    const returned = Number(native(name, 'long', parameters)(...args));
    // `int` functions are declared as long: only the low half of the register is theirs.
    return (returned | 0) === -1 && (returned === -1 || returned === 0xffffffff)
      ? { result: -1, errno: koffi?.errno() ?? 0 }
      : { result: returned };
  };
  const { result, errno } = about?.once === true ? attempt() : confirmed(attempt);
  if (errno !== undefined) throw failure(errno, about?.as ?? name, about?.path);
  return result;
}

/** A file name as C takes it. */
export function cPath(path: RawPath): Uint8Array {
  const bytes = typeof path === 'string' ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw new TypeError('a path must not have a NUL byte');
  return Buffer.concat([bytes, Buffer.of(0)]);
}

export function codeOf(error: unknown): string | undefined {
  return (error as Partial<SyscallError>).code;
}

// Calls for which libc has no wrapper everywhere. Numbers from 424 on are the same on all architectures.
const numbers = {
  x64: { mknodat: 259 },
  arm64: { mknodat: 33 },
} as const;
export const OPENAT2 = 437;
export const AT_FDCWD = -100;

export function numberOf(name: keyof (typeof numbers)['x64']): number {
  if (process.arch !== 'x64' && process.arch !== 'arm64')
    throw new Error(`no system call numbers for ${process.arch}`);
  return numbers[process.arch][name];
}
