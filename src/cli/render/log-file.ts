import { closeSync, openSync, writeSync } from 'node:fs';
import type { Diagnostic } from '../../index.ts';
import { inWords, writeError } from '../../util/system-error.ts';

/** A file with the output of all steps, whole: what a step writes waits until it is there. */
export interface LogFile {
  readonly write: (text: string) => void;
  /** Says why it is not whole, if it is not. */
  close(): Diagnostic | undefined;
}

/** Makes the file, or empties it. Throws OUTPUT_FAILED. */
export function openLogFile(path: string): LogFile {
  let fd: number;
  try {
    fd = openSync(path, 'w');
  } catch (error) {
    throw writeError(`the log file \`${path}\``, error);
  }
  let failure: Error | undefined;
  // One buffer for all of a gigabyte: a new one for each piece would stay in memory for long. A character has up to three bytes.
  const piece = 65_536;
  const bytes = Buffer.allocUnsafeSlow(3 * piece);
  const write = (text: string): void => {
    if (failure !== undefined) return;
    try {
      for (let at = 0; at < text.length; at += piece) {
        const size = bytes.write(text.slice(at, at + piece));
        for (let done = 0; done < size;) done += writeSync(fd, bytes, done, size - done);
      }
    } catch (error) {
      // A build does not fail for its log.
      failure = error as Error;
    }
  };
  return {
    write,
    close() {
      closeSync(fd);
      if (failure === undefined) return undefined;
      const message = `the log file ${path} is not whole: ${inWords(failure)}`;
      return { severity: 'warning', rule: 'LogFile', message };
    },
  };
}
