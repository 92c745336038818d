import { constants, openSync } from 'node:fs';
import { call, native } from './native.ts';

// Pseudo terminals (pty(7)). The numbers of these requests are the same on x86-64 and arm64.
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const TIOCGPTN = 0x8004_5430;
const TIOCSPTLCK = 0x4004_5431;

/** Both ends of a new terminal, close-on-exec; neither becomes the terminal that controls this process. */
export function openTerminal(): { readonly master: number; readonly slave: number } {
  const flags = constants.O_RDWR | constants.O_NOCTTY;
  const master = openSync('/dev/ptmx', flags);
  call('ioctl', ['int', 'ulong', 'const int32 *'], [master, TIOCSPTLCK, new Int32Array([0])]);
  const number = new Uint32Array(1);
  call('ioctl', ['int', 'ulong', '_Out_ uint32 *'], [master, TIOCGPTN, number]);
  return { master, slave: openSync(`/dev/pts/${number[0]}`, flags) };
}

/** Gives a terminal the size of another. */
export function copyTerminalSize(from: number, to: number): void {
  const size = new Uint16Array(4);
  call('ioctl', ['int', 'ulong', '_Out_ uint16 *'], [from, TIOCGWINSZ, size]);
  setTerminalSize(to, { rows: size[0] ?? 0, columns: size[1] ?? 0 });
}

/** Characters. */
export function setTerminalSize(fd: number, { rows, columns }: { rows: number; columns: number }): void {
  const size = new Uint16Array([rows, columns, 0, 0]);
  call('ioctl', ['int', 'ulong', 'const uint16 *'], [fd, TIOCSWINSZ, size]);
}

/** struct termios of glibc and musl has 60 bytes. */
const TERMIOS = 128;
const TCSADRAIN = 1;

/**
 * Passes all that is typed and shown through as it is (cfmakeraw(3)); returns what undoes that. Node's own raw mode still turns line ends
 * into two characters.
 */
export function makeRaw(fd: number): () => void {
  const before = new Uint8Array(TERMIOS);
  call('tcgetattr', ['int', '_Out_ uint8 *'], [fd, before]);
  const raw = new Uint8Array(before);
  native('cfmakeraw', 'void', ['_Inout_ uint8 *'])(raw);
  const set = (modes: Uint8Array): void =>
    void call('tcsetattr', ['int', 'int', 'const uint8 *'], [fd, TCSADRAIN, modes]);
  set(raw);
  return () => set(before);
}
