import type { Screen } from '../../src/cli/render/renderer.ts';
import { codePointWidth } from '../../src/cli/width.ts';

/** A terminal as far as the renderer uses one: what was written, as a person would see it. Resizing reflows, as xterm's successors do. */
export class TerminalScreen implements Screen {
  columns: number;
  readonly rows: number;
  readonly color = false;
  received = '';
  /** Lines that left the screen at the top. */
  scrolled = 0;
  private lines: string[] = [''];
  private row = 0;
  private column = 0;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  text(): string {
    return this.lines
      .map((line) => line.trimEnd())
      .join('\n')
      .trimEnd();
  }

  resize(columns: number): void {
    this.columns = columns;
    const pieces = this.lines.flatMap((line) => {
      const parts: string[] = [];
      for (let index = 0; index === 0 || index < line.length; index += columns)
        parts.push(line.slice(index, index + columns));
      return parts;
    });
    this.row += pieces.length - this.lines.length;
    this.lines = pieces;
  }

  write(text: string): void {
    this.received += text;
    // oxlint-disable-next-line no-control-regex -- this is a terminal
    for (const part of text.match(/\x1b\[[?\d;]*[A-Za-z]|[\s\S]/gu) ?? []) this.take(part);
  }

  private take(part: string): void {
    if (part === '\n') return this.newline();
    if (part === '\r') {
      this.column = 0;
      return;
    }
    if (!part.startsWith('\x1b')) return this.put(part);
    if (part.endsWith('A')) this.row = Math.max(0, this.row - Number(part.slice(2, -1)));
    else if (part.endsWith('K')) this.lines[this.row] = (this.lines[this.row] ?? '').slice(0, this.column);
    else if (part.endsWith('J')) {
      this.lines[this.row] = (this.lines[this.row] ?? '').slice(0, this.column);
      this.lines.length = this.row + 1;
    }
  }

  private put(character: string): void {
    const width = codePointWidth(character);
    if (this.column + width > this.columns) this.newline();
    const line = (this.lines[this.row] ?? '').padEnd(this.column);
    // A wide character takes two cells; the second is kept as a character without width.
    const cells = width === 2 ? `${character}\u200b` : character;
    this.lines[this.row] = line.slice(0, this.column) + cells + line.slice(this.column + width);
    this.column += width;
  }

  private newline(): void {
    this.row += 1;
    this.column = 0;
    if (this.row === this.lines.length) this.lines.push('');
    this.scrolled = Math.max(this.scrolled, this.lines.length - this.rows);
  }
}
