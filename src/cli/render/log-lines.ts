import { StringDecoder } from 'node:string_decoder';
import { sanitize, sanitizeKeepingColor } from '../sanitize.ts';

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

  /** The lines that these bytes end. */
  push(stream: string, data: Uint8Array): readonly string[] {
    let partial = this.streams.get(stream);
    if (partial === undefined)
      this.streams.set(stream, (partial = { decoder: new StringDecoder('utf8'), text: '' }));
    const lines = (
      partial.text + partial.decoder.write(Buffer.from(data.buffer, data.byteOffset, data.length))
    ).split('\n');
    partial.text = lines.pop() ?? '';
    while (partial.text.length > longestLine) {
      lines.push(partial.text.slice(0, longestLine));
      partial.text = partial.text.slice(longestLine);
    }
    return lines.map((line) => this.line(line));
  }

  /** What came after the last line end. */
  end(): readonly string[] {
    const rest: string[] = [];
    for (const partial of this.streams.values()) {
      const text = partial.text + partial.decoder.end();
      if (text !== '') rest.push(this.line(text));
    }
    this.streams.clear();
    return rest;
  }

  // A lone carriage return goes back to the start of the line: only what was written last is still to be seen.
  private line(text: string): string {
    const whole = text.endsWith('\r') ? text.slice(0, -1) : text;
    return this.clean(whole.slice(whole.lastIndexOf('\r') + 1));
  }
}
