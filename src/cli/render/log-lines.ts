import { StringDecoder } from 'node:string_decoder';
import { isClean, sanitize, sanitizeKeepingColor } from '../sanitize.ts';

/** A line longer than this is broken, so that a program that never ends its line does not fill the memory. */
const longestLine = 65_536;

interface Partial {
  readonly decoder: StringDecoder;
  text: string;
}

/** Bytes of a step's streams as clean lines: UTF-8 over chunk borders, no control sequences but colours, `\r` overwrites. */
export class LogLines {
  private readonly streams: Map<string, Partial> = new Map();
  private readonly clean: (text: string) => string;

  constructor({ color }: { readonly color: boolean }) {
    this.clean = color ? sanitizeKeepingColor : sanitize;
  }

  /** The lines that these bytes end, with line ends between them; undefined: none. A gigabyte goes through here: mostly as it came. */
  push(stream: string, data: Uint8Array): string | undefined {
    let partial = this.streams.get(stream);
    if (partial === undefined)
      this.streams.set(stream, (partial = { decoder: new StringDecoder('utf8'), text: '' }));
    const text = partial.text + partial.decoder.write(Buffer.from(data.buffer, data.byteOffset, data.length));
    const end = text.lastIndexOf('\n');
    partial.text = text.slice(end + 1);
    const whole = end < 0 ? [] : [this.lines(text.slice(0, end))];
    while (partial.text.length > longestLine) {
      whole.push(this.line(partial.text.slice(0, longestLine)));
      partial.text = partial.text.slice(longestLine);
    }
    return whole.length === 0 ? undefined : whole.join('\n');
  }

  /** What came after the last line end. */
  end(): string | undefined {
    const rest: string[] = [];
    for (const partial of this.streams.values()) {
      const text = partial.text + partial.decoder.end();
      if (text !== '') rest.push(this.line(text));
    }
    this.streams.clear();
    return rest.length === 0 ? undefined : rest.join('\n');
  }

  private lines(text: string): string {
    return isClean(text)
      ? text
      : text
          .split('\n')
          .map((line) => this.line(line))
          .join('\n');
  }

  // A lone carriage return goes back to the start of the line: only what was written last is still to be seen.
  private line(text: string): string {
    const whole = text.endsWith('\r') ? text.slice(0, -1) : text;
    return this.clean(whole.slice(whole.lastIndexOf('\r') + 1));
  }
}

/** The last lines of a text, at most `count`. */
export function lastLines(text: string, count: number): readonly string[] {
  let start = text.length;
  for (let left = count; left > 0 && start > 0; left -= 1)
    start = Math.max(0, text.lastIndexOf('\n', start - 1));
  return text
    .slice(start === 0 ? 0 : start + 1)
    .split('\n')
    .slice(-count);
}
