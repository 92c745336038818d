import { createHash } from 'node:crypto';
import { isDigest } from '../oci/digest.ts';
import type { Digest } from '../oci/digest.ts';
import type { ByteStream } from '../util/streams.ts';
import type { Entry, EntryStream, EntryType } from './entry.ts';
import { parentPath } from './entry-path.ts';

/** One entry of a layer without its content. */
export interface IndexedEntry {
  readonly entry: Entry;
  /** Where its content begins in the uncompressed tar. */
  readonly offset: number;
  /** Of the content; files only. */
  readonly digest?: Digest;
}

/** What a layer has, in the order of its tar. */
export interface LayerIndex {
  readonly entries: readonly IndexedEntry[];
}

const emptyDigest: Digest = `sha256:${createHash('sha256').digest('hex')}`;

/**
 * Makes an index as a by-product of another pass over the entries: pass `onEntry` to the tar reader or writer, and the entries
 * through `watch`. Every content must be read to its end; what the consumer leaves is read here.
 */
export class IndexBuilder {
  readonly #entries: { entry: Entry; offset: number; digest?: Digest }[] = [];

  readonly onEntry = (entry: Entry, offset: number): void => {
    const { content: _, ...rest } = entry;
    this.#entries.push({
      entry: rest,
      offset,
      ...(entry.type === 'file' && entry.size === 0 ? { digest: emptyDigest } : {}),
    });
  };

  async *watch(entries: EntryStream): AsyncGenerator<Entry> {
    for await (const entry of entries) {
      const { content } = entry;
      if (entry.type !== 'file' || entry.size === 0 || content === undefined) {
        yield entry;
        continue;
      }
      let read = false;
      const hashed = (): ByteStream => {
        read = true;
        return this.#hash(content());
      };
      yield { ...entry, content: hashed };
      if (!read) for await (const chunk of hashed()) void chunk;
    }
  }

  async *#hash(content: ByteStream): AsyncGenerator<Uint8Array> {
    const hash = createHash('sha256');
    for await (const chunk of content) {
      hash.update(chunk);
      yield chunk;
    }
    // The tar reader and the writer tell of an entry before its content is read: it is the last one.
    const row = this.#entries.at(-1);
    if (row !== undefined) row.digest = `sha256:${hash.digest('hex')}`;
  }

  finish(): LayerIndex {
    return { entries: this.#entries };
  }
}

type Row = readonly [
  type: string,
  path: string,
  mode: number,
  owner: readonly [number, number],
  size: number,
  mtime: string,
  offset: number,
  more?: {
    readonly digest?: string;
    readonly link?: string;
    readonly device?: readonly [number, number];
    readonly xattrs?: Readonly<Record<string, string>>;
  },
];

const version = 3;

/**
 * Whether a layer may put something into a directory without saying what the directory is. Steps then have to be shown what lower layers
 * say of it: overlayfs shows what the topmost says. Where links are on the way it is not looked at more closely.
 */
export function impliesDirectories({ entries }: LayerIndex): boolean {
  const named = new Set(['']);
  for (const { entry } of entries) {
    const { path, type } = entry;
    if (type === 'directory') named.add(path);
    // Something else in the place of a directory: what is named below it later may be elsewhere.
    else if (type !== 'opaque' && type !== 'whiteout' && named.has(path)) return true;
  }
  return entries.some(({ entry: { path, type } }) => !named.has(type === 'opaque' ? path : parentPath(path)));
}

/** The beginning of an encoded index, in bytes, that says whether the layer implies directories. */
export const indexHead = 128;

/** What the beginning of an encoded index says of `impliesDirectories`; undefined for what is damaged or of another version. */
export function decodeImplies(head: string): boolean | undefined {
  const found = /^[0-9a-f]{64}\n\{"version":(\d+),"implies":(true|false),/.exec(head);
  return found?.[1] === String(version) ? found[2] === 'true' : undefined;
}

export function encodeIndex(index: LayerIndex): string {
  const rows = index.entries.map(({ entry, offset, digest }): Row => {
    const { linkTarget, devMajor, devMinor, xattrs } = entry;
    const more = {
      ...(digest === undefined ? {} : { digest }),
      ...(linkTarget === undefined ? {} : { link: linkTarget }),
      ...(devMajor === undefined ? {} : { device: [devMajor, devMinor ?? 0] as const }),
      ...(xattrs === undefined
        ? {}
        : { xattrs: mapValues(xattrs, (value) => Buffer.from(value).toString('base64')) }),
    };
    const { type, path, mode, uid, gid, size, mtime } = entry;
    return [type, path, mode, [uid, gid], size, mtime.toString(), offset, more];
  });
  const text = JSON.stringify({ version, implies: impliesDirectories(index), rows });
  return `${checksum(text)}\n${text}`;
}

/** What a layer has is read far more often than made: a flipped bit in it must not become a file of an image. */
function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** undefined for what is damaged or no index of this version: it is made anew then. */
export function decodeIndex(text: string): LayerIndex | undefined {
  const parsed = parseIndex(text);
  if (parsed?.version !== version || !Array.isArray(parsed.rows)) return undefined;
  return { entries: (parsed.rows as readonly Row[]).map(decodeRow) };
}

/** One of another version is not read, and replaced when it is wanted. */
export function isOtherVersion(text: string): boolean {
  // The first had no checksum.
  return text.startsWith('{"version":') || (parseIndex(text)?.version ?? version) !== version;
}

function parseIndex(text: string): { readonly version?: unknown; readonly rows?: unknown } | undefined {
  const body = text.slice(text.indexOf('\n') + 1);
  if (text !== `${checksum(body)}\n${body}`) return undefined;
  try {
    return JSON.parse(body) as { readonly version?: unknown; readonly rows?: unknown };
  } catch {
    return undefined;
  }
}

function decodeRow([type, path, mode, [uid, gid], size, mtime, offset, more = {}]: Row): IndexedEntry {
  const { digest, link, device, xattrs } = more;
  return {
    entry: {
      path,
      type: type as EntryType,
      mode,
      uid,
      gid,
      size,
      mtime: BigInt(mtime),
      ...(link === undefined ? {} : { linkTarget: link }),
      ...(device === undefined ? {} : { devMajor: device[0], devMinor: device[1] }),
      ...(xattrs === undefined ? {} : { xattrs: mapValues(xattrs, (value) => Buffer.from(value, 'base64')) }),
    },
    offset,
    ...(digest !== undefined && isDigest(digest) ? { digest } : {}),
  };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
