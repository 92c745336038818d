import type { OnNeedles } from './byte-search.ts';
import { isBlank } from './byte-search.ts';
import type { SecretSearch } from './secret-search.ts';

const mask = Buffer.from('****');
/** A text in which blanks go on for so long that a secret might still end is let go. Bytes. */
const mostHeld = 65_536;
/** At the end of a line so much of a secret's beginning is shown rather than kept back: it is most likely another word. */
const shownAtLineEnd = 3;

/**
 * One stream of text with `****` for every secret, in whatever form and however it is cut into chunks; line ends stay. What a secret may
 * begin with at the end of a chunk is kept back until more comes, or `end`.
 */
export class SecretMask {
  readonly #search: SecretSearch;
  readonly #cursor;
  /** Seen, and not given out; and which of its bytes are to be masked. */
  #held: Buffer = Buffer.alloc(0);
  #marks: Uint8Array = new Uint8Array(0);
  /** Whether what was given out last ended in a mask. */
  #inMask = false;

  constructor(search: SecretSearch) {
    this.#search = search;
    this.#cursor = search.bytes.start();
  }

  /** What can be shown now; it may be empty. */
  push(chunk: Uint8Array): Uint8Array {
    const start = this.#held.length;
    const text =
      start === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat([this.#held, chunk]);
    const marks = new Uint8Array(text.length);
    marks.set(this.#marks);
    const onNeedles: OnNeedles = ([longest = 0], end, decoded) => {
      const units = this.#search.needles[longest]?.bytes.length ?? 0;
      marks.fill(1, startOf(text, start + end, { units, decoded }), start + end);
    };
    const { bytes } = this.#search;
    bytes.scan(this.#cursor, chunk, onNeedles);
    return this.#giveOut(text, marks, this.#keepFrom(text, marks));
  }

  /** The rest, at the end of the stream. */
  end(): Uint8Array {
    return this.#giveOut(this.#held, this.#marks, this.#held.length);
  }

  #keepFrom(text: Buffer, marks: Uint8Array): number {
    const { percent } = this.#cursor;
    const pending = this.#search.bytes.pending(this.#cursor);
    let from = Math.min(
      startOf(text, text.length, { units: pending.raw, decoded: false }),
      startOf(text, text.length - percent, { units: pending.decoded, decoded: true }),
    );
    // What is masked already need not wait for what follows.
    while (marks[from] === 1) from += 1;
    const seen = Math.max(pending.raw, pending.decoded);
    const atLineEnd = seen <= shownAtLineEnd && text.subarray(from).includes('\n');
    return seen === 0 || atLineEnd || text.length - from > mostHeld ? text.length - percent : from;
  }

  #giveOut(text: Buffer, marks: Uint8Array, end: number): Uint8Array {
    this.#held = Buffer.from(text.subarray(end));
    this.#marks = marks.slice(end);
    if (!this.#inMask && !marks.subarray(0, end).includes(1)) return text.subarray(0, end);
    const parts: Uint8Array[] = [];
    for (let at = 0; at < end;) {
      const hidden = marks[at] === 1 && !isLineEnd(text[at]);
      let next = at + 1;
      while (next < end && (marks[next] === 1 && !isLineEnd(text[next])) === hidden) next += 1;
      if (!hidden) parts.push(text.subarray(at, next));
      else if (!this.#inMask) parts.push(mask);
      this.#inMask = hidden;
      at = next;
    }
    return Buffer.concat(parts);
  }
}

/** A text of a file with a star for each byte of a secret: what is not secret stays at its place. */
export function starred(search: SecretSearch, text: string): string {
  const bytes = Buffer.from(text);
  const all = search.bytes;
  all.scan(all.start(), bytes, ([longest = 0], end, decoded) => {
    const units = search.needles[longest]?.bytes.length ?? 0;
    for (let at = startOf(bytes, end, { units, decoded }); at < end; at += 1)
      if (!isLineEnd(bytes[at])) bytes[at] = 0x2a;
  });
  return bytes.toString();
}

/** A text that stands alone. */
export function masked(search: SecretSearch, text: string): string {
  const stream = new SecretMask(search);
  return Buffer.concat([stream.push(Buffer.from(text)), stream.end()]).toString();
}

/** Where the last so many bytes that count begin; `decoded`: a `%41` counts as one. */
function startOf(text: Buffer, end: number, { units, decoded }: { units: number; decoded: boolean }): number {
  let at = end;
  for (let left = units; left > 0 && at > 0; left -= 1) {
    while (at > 0 && isBlank(text[at - 1] ?? 0)) at -= 1;
    at -= decoded && /^%[0-9a-f]{2}$/i.test(text.toString('latin1', Math.max(0, at - 3), at)) ? 3 : 1;
  }
  return Math.max(0, at);
}

function isLineEnd(byte: number | undefined): boolean {
  return byte === 0x0a || byte === 0x0d;
}
