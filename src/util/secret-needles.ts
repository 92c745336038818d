import { isBlank } from './byte-search.ts';

/** One form in which a secret, or a piece of it, would show itself. Plain data. */
export interface Needle {
  /** The secret's id. */
  readonly secret: string;
  readonly form: 'plain' | 'base64' | 'hex';
  /** Without blanks and line ends, as `ByteSearch` wants it. */
  readonly bytes: Uint8Array;
  /** In an image it is a leak; the others are only masked in logs, since innocent files may hold them too (a line of a JSON file). */
  readonly leak: boolean;
}

/** Shorter secrets are not searched for in images, nor masked in logs: they would be found in innocent words. Bytes, without blanks. */
export const shortestLeak = 6;
export const shortestMasked = 4;

/** Lines of a secret with several lines that are masked alone; shorter ones are braces and words such as `true`. */
const shortestLine = 8;
/** What stands behind `password=` and the like. */
const shortestValue = 8;
/** A password alone on its line. */
const shortestLoneLine = 12;
/** A word that looks as if nobody had thought of it. */
const shortestRandom = 16;

/** Of a long secret the middle counts as a leak: it begins as all of its kind do, and ends so too. */
const middleLength = 128;
/** Encoded as a whole up to here, so that a log masks it as a whole. */
const longestEncoded = 1024;
const longestPiece = 64;
const mostPieces = 100;
/** Of very long secrets so much is masked, line by line. */
const mostMasked = 16_384;

/**
 * What to search for so that a secret is found: as it is, in base64 (also within a longer text, and in the alphabet of URLs) and in hex;
 * and those pieces of it that are secret by themselves: the second half of a private key (the first tells of the public one), what stands
 * behind a word such as `token=`, random words, and a line that is one word. Other pieces are in innocent files too.
 */
export function needlesOf(secret: string, value: Uint8Array): readonly Needle[] {
  const needles: Needle[] = [];
  const known = new Set<string>();
  const add = (form: Needle['form'], bytes: Uint8Array, leak: boolean): void => {
    const solid = bytes.filter((byte) => !isBlank(byte));
    const name = `${leak}${Buffer.from(solid).toString('latin1')}`;
    if (solid.length < (leak ? shortestLeak : shortestMasked) || known.has(name)) return;
    known.add(name);
    needles.push({ secret, form, bytes: solid, leak });
  };
  const addAll = (bytes: Buffer, leak: boolean): void => {
    add('plain', bytes, leak);
    if (bytes.length < shortestLeak) return;
    for (const text of base64Forms(bytes)) add('base64', Buffer.from(text), leak);
    const hex = bytes.toString('hex');
    for (const text of [hex, hex.toUpperCase()]) add('hex', Buffer.from(text), leak);
  };
  // Latin 1 keeps the bytes as they are, one a character.
  const text = Buffer.from(value).toString('latin1').trim();
  const secretText = withoutPublicParts(text);
  const whole = Buffer.from(secretText, 'latin1');
  if (whole.length <= longestEncoded) {
    addAll(whole, whole.length >= shortestLeak);
  } else {
    addAll(whole.subarray(0, longestEncoded), false);
    addAll(middle(whole, middleLength), true);
  }
  const lines = secretText.slice(0, mostMasked).split(lineEnds);
  if (lines.length > 1 || whole.length > longestEncoded) {
    for (const line of lines.flatMap(inPieces))
      if (line.trim().length >= shortestLine) add('plain', Buffer.from(line.trim(), 'latin1'), false);
  }
  let count = 0;
  for (const piece of secretPieces(text)) {
    if (count === mostPieces) break;
    count += 1;
    addAll(middle(Buffer.from(piece, 'latin1'), longestPiece), true);
  }
  return needles;
}

/** A line in pieces of bounded length; the last one is no shorter than the others, so that none is too short to be masked. */
function inPieces(line: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < line.length; at += longestEncoded)
    pieces.push(line.slice(Math.max(0, Math.min(at, line.length - longestEncoded))).slice(0, longestEncoded));
  return pieces;
}

function middle(bytes: Buffer, length: number): Buffer {
  const start = Math.max(0, (bytes.length - length) >> 1);
  return bytes.subarray(start, start + length);
}

/** Base64 of a text that holds the bytes, wherever they begin in it: of what only they decide, in both alphabets. */
function* base64Forms(bytes: Buffer): Generator<string> {
  for (const before of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64');
    const form = encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    yield form;
    yield form.replaceAll('+', '-').replaceAll('/', '_');
  }
}

// JSON files hold the line ends of keys written as two characters.
const lineEnds = /[\r\n]+|\\n/;
// Repetitions are bounded, or end at what cannot repeat: linear in the text.
const armor = /-----BEGIN ([A-Z0-9 ]{1,60})-----([^-]*)-----END [A-Z0-9 ]{1,60}-----/g;
const named =
  /(?:apikey|auth|credential|key|password|passwd|pword|secret|token)[\w.-]{0,40}["']?\s{0,4}[=:]\s{0,4}["']?([^\s"',;]+)/gi;
const netrc = /\bmachine\s{1,9}\S{1,200}\s{1,9}login\s{1,9}\S{1,200}\s{1,9}password\s{1,9}(\S+)/g;
const userInfo = /:\/\/[^\s/:@]{0,100}:([^\s/@]{1,500})@/g;
const words = /[\w+/.~-]+={0,2}/g;

/** Whether a block is one that anybody may have, such as a certificate. */
function isPublic(label: string): boolean {
  return !label.includes('PRIVATE');
}

/** Of a file with certificates the longest private key: nothing, where it is a list of authorities, which is in many images. */
function withoutPublicParts(text: string): string {
  const blocks = [...text.matchAll(armor)];
  if (!blocks.some(([, label = '']) => isPublic(label))) return text;
  const keys = blocks.filter(([, label = '']) => !isPublic(label)).map(([block]) => block);
  return keys.reduce((longest, key) => (key.length > longest.length ? key : longest), '');
}

/** The pieces of a text that are secret by themselves. */
function* secretPieces(text: string): Generator<string> {
  const keys: string[] = [];
  let hasPublic = false;
  const rest = text.replace(armor, (_, label: string, body: string) => {
    const lines = body.split(lineEnds).filter((line) => line.length >= shortestRandom);
    hasPublic ||= isPublic(label);
    if (!isPublic(label)) keys.push(...lines.slice(Math.ceil(lines.length / 2)));
    return '\n';
  });
  yield* keys;
  for (const pattern of [named, netrc, userInfo])
    for (const [, value = ''] of rest.matchAll(pattern)) if (isPassword(value)) yield value;
  // Names stand between certificates.
  for (const line of hasPublic ? [] : rest.split(lineEnds))
    if (line.length >= shortestLoneLine && /^[^\s=:/{[][^\s=:]*$/.test(line)) yield line;
  for (const [word] of rest.matchAll(words)) if (isRandom(word)) yield word;
}

/** Not `required`, `password` or the address of a server. */
function isPassword(value: string): boolean {
  if (/^https?:\/\/[^@]*$/.test(value)) return false;
  return value.length >= shortestLoneLine || (value.length >= shortestValue && /\d/.test(value));
}

/** Whether digits and capitals stand about as only chance puts them: not in `/oauth2/v1/certs`, nor in `getElementById`. */
function isRandom(word: string): boolean {
  if (word.length < shortestRandom) return false;
  let changes = 0;
  let before = '';
  for (const char of word) {
    const kind = /\d/.test(char) ? '0' : /[a-z]/.test(char) ? 'a' : /[A-Z]/.test(char) ? 'A' : '';
    if (kind === '') continue;
    // A capital begins a word: what follows it says nothing.
    if (before !== '' && kind !== before && before + kind !== 'Aa') changes += 1;
    before = kind;
  }
  return changes >= word.length / 4;
}
