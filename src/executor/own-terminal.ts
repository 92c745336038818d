import { closeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { copyTerminalSize, makeRaw, openTerminal } from '../host/terminal.ts';

/** A new terminal for a container, connected to the one that this process has. */
export interface OwnTerminal extends AsyncDisposable {
  /** The container's end: its standard streams. */
  readonly slave: number;
  /** Begins to pass on what is typed and shown; from then on the container alone has the other end. */
  connect(): void;
}

/** For runtimes that make none: whatever the container does to its terminal, it does not do to that of the user. */
export function ownTerminal(): OwnTerminal {
  const { stdin, stdout } = process;
  const { master, slave } = openTerminal();
  const resize = (): void => copyTerminalSize(stdout.fd, master);
  resize();
  // A terminal that nobody holds any more ends with EIO.
  const stream = new ReadStream(master).on('error', () => {});
  const ended = new Promise<void>((resolve) => stream.once('close', () => resolve()));
  const type = (data: Buffer): void => void stream.write(data);
  const show = (data: Buffer): void => void stdout.write(data);
  let restore: (() => void) | undefined;
  return {
    slave,
    connect() {
      restore = makeRaw(stdin.fd);
      closeSync(slave);
      stdin.on('data', type).resume();
      stream.on('data', show);
      stdout.on('resize', resize);
    },
    async [Symbol.asyncDispose]() {
      if (restore === undefined) {
        closeSync(slave);
        stream.destroy();
      }
      // The last of it may still be under way.
      await ended;
      stdin.off('data', type).pause();
      restore?.();
      stdout.off('resize', resize);
    },
  };
}
