/** Where a search stands between two chunks of a stream; `ByteSearch.start` makes one. */
export interface Cursor {
  /** State after the text as it is. */
  raw: number;
  /** State after the text with its `%41` read as `A`; mostly the same. */
  decoded: number;
  /** How much of a `%41` has been seen: nothing, `%`, or `%4`. */
  percent: 0 | 1 | 2;
  /** The byte behind that `%`. */
  digit: number;
}

/** Told of needles that end before `end` of the chunk, longest first; `decoded`: as they are read in a URL. */
export type OnNeedles = (needles: readonly number[], end: number, decoded: boolean) => void;

const PERCENT = 0x25;
const blanks = Buffer.from(' \t\n\r\v\f');

export function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/**
 * Searches a stream for many needles in one pass (Aho and Corasick, 1975, with one table for all steps): linear in the text whatever it
 * holds, and between two chunks a `Cursor` is all that is remembered.
 *
 * Two things of the text are looked through. Blanks and line ends count for nothing: a base64 text in lines of 76 columns and a hex dump
 * with gaps are found as if they were written in one. And `%41` is taken for an `A` as well as for itself, which covers all spellings of
 * a URL. So a needle holds no blanks.
 */
export class ByteSearch {
  readonly needles: readonly Uint8Array[];
  readonly #classes = new Uint8Array(256);
  readonly #width: number;
  /** By state and class of the next byte: the next state, `~state` where a needle ends. A state is its number times the width. */
  readonly #table: Int32Array;
  /** By number of state: how much of a needle has been seen, and the needles that end there. */
  readonly #depths: Uint32Array;
  readonly #ends: (readonly number[] | undefined)[] = [];

  constructor(needles: readonly Uint8Array[]) {
    this.needles = needles;
    const used = new Set<number>();
    for (const needle of needles) {
      if (needle.length === 0 || needle.some(isBlank))
        throw new TypeError('no needle: empty, or with blanks');
      for (const byte of needle) used.add(byte);
    }
    // Class 0 is what no needle has, class 1 what is looked through.
    for (const byte of blanks) this.#classes[byte] = 1;
    for (const [index, byte] of [...used].entries()) this.#classes[byte] = index + 2;
    this.#width = used.size + 2;
    const states = needles.reduce((sum, { length }) => sum + length, 1);
    this.#table = new Int32Array(states * this.#width);
    this.#depths = new Uint32Array(states);
    this.#plant();
    this.#link();
  }

  start(): Cursor {
    return { raw: 0, decoded: 0, percent: 0, digit: 0 };
  }

  /** Goes on with the next chunk of a stream. */
  scan(cursor: Cursor, chunk: Uint8Array, onNeedles: OnNeedles): void {
    const { length } = chunk;
    let at = 0;
    while (at < length) {
      if (cursor.percent === 0 && cursor.raw === cursor.decoded) {
        const percent = chunk.indexOf(PERCENT, at);
        const end = percent < 0 ? length : percent;
        cursor.raw = cursor.decoded = this.#run(cursor.raw, { chunk, at, end }, onNeedles);
        at = end;
        if (at === length) return;
      }
      const byte = chunk[at] ?? 0;
      at += 1;
      cursor.raw = this.#step(cursor.raw, byte, (found) => onNeedles(found, at, false));
      this.#decode(cursor, byte, (found) => onNeedles(found, at, true));
    }
  }

  /** The longest piece at the end of the text that a needle may begin with, in bytes that count: of the text as it is, and decoded. */
  pending({ raw, decoded }: Cursor): { readonly raw: number; readonly decoded: number } {
    const depth = (state: number): number => this.#depths[state / this.#width] ?? 0;
    return { raw: depth(raw), decoded: depth(decoded) };
  }

  // The loop that all bytes of all layers go through: nothing but the table is looked at.
  #run(from: number, part: { chunk: Uint8Array; at: number; end: number }, onNeedles: OnNeedles): number {
    const { chunk, end } = part;
    const table = this.#table;
    const classes = this.#classes;
    let state = from;
    for (let at = part.at; at < end; at += 1) {
      let next = table[state + (classes[chunk[at] as number] as number)] as number;
      if (next < 0) {
        next = ~next;
        onNeedles(this.#ends[next / this.#width] ?? [], at + 1, false);
      }
      state = next;
    }
    return state;
  }

  #step(state: number, byte: number, onEnd: (needles: readonly number[]) => void): number {
    const next = this.#table[state + (this.#classes[byte] ?? 0)] ?? 0;
    if (next >= 0) return next;
    onEnd(this.#ends[~next / this.#width] ?? []);
    return ~next;
  }

  #decode(cursor: Cursor, byte: number, onEnd: (needles: readonly number[]) => void): void {
    const step = (one: number): void => {
      cursor.decoded = this.#step(cursor.decoded, one, onEnd);
    };
    if (cursor.percent > 0 && hexValue(byte) >= 0) {
      if (cursor.percent === 1) {
        cursor.digit = byte;
        cursor.percent = 2;
        return;
      }
      cursor.percent = 0;
      step(hexValue(cursor.digit) * 16 + hexValue(byte));
      return;
    }
    // No such thing: it was a plain percent sign.
    if (cursor.percent > 0) step(PERCENT);
    if (cursor.percent === 2) step(cursor.digit);
    cursor.percent = byte === PERCENT ? 1 : 0;
    if (cursor.percent === 0) step(byte);
  }

  /** The tree of all needles; 0 in the table is `no such branch`, since none leads to the root. */
  #plant(): void {
    let count = 1;
    for (const [index, needle] of this.needles.entries()) {
      let state = 0;
      for (const [depth, byte] of needle.entries()) {
        const slot = state + (this.#classes[byte] ?? 0);
        if (this.#table[slot] === 0) {
          this.#table[slot] = count * this.#width;
          this.#depths[count] = depth + 1;
          count += 1;
        }
        state = this.#table[slot] ?? 0;
      }
      const number = state / this.#width;
      this.#ends[number] = [...(this.#ends[number] ?? []), index];
    }
  }

  /** Gives each state, in order of depth, the branches of the longest other state that its text ends with. */
  #link(): void {
    const width = this.#width;
    const table = this.#table;
    const queue: number[] = [0];
    const fallbacks = new Int32Array(this.#depths.length);
    const marked = (state: number): number => (this.#ends[state / width] === undefined ? state : ~state);
    for (let at = 0; at < queue.length; at += 1) {
      const state = queue[at] ?? 0;
      const fallback = fallbacks[state / width] ?? 0;
      for (let one = 0; one < width; one += 1) {
        const next = table[state + one] ?? 0;
        const other = state === 0 ? 0 : plain(table[fallback + one] ?? 0);
        if (one === 1) table[state + one] = state;
        else if (next === 0) table[state + one] = marked(other);
        else {
          queue.push(next);
          fallbacks[next / width] = other;
          const ends = [...(this.#ends[next / width] ?? []), ...(this.#ends[other / width] ?? [])];
          if (ends.length > 0) this.#ends[next / width] = ends;
          table[state + one] = marked(next);
        }
      }
    }
  }
}

function plain(state: number): number {
  return state < 0 ? ~state : state;
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
