/** How much room text takes on a terminal. */

const ascii = /^[\x20-\x7e]*$/;
// What Unicode's East Asian Width calls W or F, and pictures; everything else printable takes one column.
const wide =
  /^[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|^[\u{1b000}-\u{1b2ff}\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const zero = /^[\p{Mn}\p{Me}\p{Cf}\p{Cc}]/u;

/** Columns of one code point. */
export function codePointWidth(character: string): number {
  if (ascii.test(character)) return 1;
  if (zero.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}

/** Columns of a text without control characters; SGR sequences take none. */
export function displayWidth(text: string): number {
  if (ascii.test(text)) return text.length;
  let width = 0;
  for (const part of splitSgr(text)) {
    if (part.startsWith('\x1b')) continue;
    for (const character of part) width += codePointWidth(character);
  }
  return width;
}

/** The text cut to `columns`, with an ellipsis where something was cut off; SGR sequences stay whole. */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns < 1) return '';
  let width = 0;
  let out = '';
  let styled = false;
  for (const part of splitSgr(text)) {
    if (part.startsWith('\x1b')) {
      out += part;
      styled = true;
      continue;
    }
    for (const character of part) {
      const next = width + codePointWidth(character);
      if (next > columns - 1) return `${out}…${styled ? '\x1b[0m' : ''}`;
      out += character;
      width = next;
    }
  }
  return out;
}

/** Tabs as blanks up to the next multiple of `size` columns. */
export function expandTabs(text: string, size: number = 4): string {
  if (!text.includes('\t')) return text;
  let width = 0;
  let out = '';
  for (const character of text) {
    const step = character === '\t' ? size - (width % size) : codePointWidth(character);
    out += character === '\t' ? ' '.repeat(step) : character;
    width += step;
  }
  return out;
}

function splitSgr(text: string): readonly string[] {
  // oxlint-disable-next-line no-control-regex -- escape sequences are what this is about
  return text.includes('\x1b') ? text.split(/(\x1b\[[\d;:]*m)/) : [text];
}
