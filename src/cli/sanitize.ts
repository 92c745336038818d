import { BuildError } from '../util/build-error.ts';

/**
 * Text of a container, an image or a registry is hostile to a terminal: escape sequences may rewrite what was said
 * before, retitle the window or make it answer. Only colours (SGR) may pass, and only where asked for.
 */

// ECMA-48: CSI; OSC, DCS, SOS, PM and APC with their text (C0 controls but BEL cannot be in it, so an unfinished one
// ends with its line); escapes with intermediates; then single controls of C0 and C1, and those of Unicode that reorder text.
/* oxlint-disable no-control-regex -- control characters are what this is about */
const sequences =
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x00-\x1f\x7f\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
const sgr = /^\x1b\[[\d;:]{0,40}m$/;
const suspicious = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;
const unwritten = /[\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
/* oxlint-enable no-control-regex */

/** Has the text nothing that `sanitize` would take out? */
export function isClean(text: string): boolean {
  return !suspicious.test(text);
}

/** The text without control sequences and control characters; newlines and tabs stay. */
export function sanitize(text: string): string {
  return suspicious.test(text) ? text.replace(sequences, '') : text;
}

/** As `sanitize`, in one line: newlines become blanks. For names and titles. */
export function sanitizeLine(text: string): string {
  return sanitize(text).replace(/[\n\t]+/g, ' ');
}

/** As `sanitize`, but colours stay, and end with the text. */
export function sanitizeKeepingColor(text: string): string {
  if (!suspicious.test(text)) return text;
  let colored = false;
  const clean = text.replace(sequences, (sequence) => {
    if (!sgr.test(sequence)) return '';
    colored = true;
    return sequence;
  });
  return colored ? `${clean}\x1b[0m` : clean;
}

/** JSON of the very value, with nothing in it that a terminal would take for an order: JSON alone leaves those of C1 as they are. */
export function jsonText(value: unknown, indent?: number): string {
  const escaped = (character: string): string =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  let json: string;
  try {
    json = JSON.stringify(value, undefined, indent) ?? 'null';
  } catch (cause) {
    // JSON that somebody else wrote is read however deep it is, and written only as deep as the stack is.
    if (!(cause instanceof RangeError)) throw cause;
    throw new BuildError('IMAGE_INVALID', 'the document is nested too deeply to be shown', { cause });
  }
  return json.replace(unwritten, escaped);
}
