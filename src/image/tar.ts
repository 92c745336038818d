// Archives are read without tar-stream, which writes them: it reads pax values as text, which destroys binary xattrs
// (security.capability of newuidmap holds the byte 0x80), and buffers their bodies before any limit.
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { ByteReader } from './byte-reader.ts';
import type { Entry, EntryType } from './entry.ts';
import { baseName, defaultDepth, joinPath, normalizeEntryPath, parentPath } from './entry-path.ts';
import type { PaxRecords } from './pax.ts';
import { decodePax, parsePaxTime, paxText } from './pax.ts';
import type { TarHeader } from './tar-header.ts';
import { blockSize, decodeHeader } from './tar-header.ts';

export { writeTar } from './tar-write.ts';
export type { WriteTarOptions } from './tar-write.ts';

/** What an archive of unknown origin may cost (S-P-3). */
export interface TarLimits {
  readonly entries?: number;
  /** Bytes of one extended header. */
  readonly headerBytes?: number;
  /** Components of a path. */
  readonly depth?: number;
  /** Bytes of the whole uncompressed archive. */
  readonly totalBytes?: number;
}

export interface ReadTarOptions {
  /** Read `.wh.` names as whiteouts and opaque markers: true for layers, false for archives of a user. */
  readonly whiteouts: boolean;
  readonly limits?: TarLimits;
  /** What to do with absolute names and hard-link targets: Docker refuses the latter since 29.7. Default: make them relative. */
  readonly absolute?: 'relative' | 'refuse';
  /** Told before each entry where its content begins in the archive. */
  readonly onEntry?: (entry: Entry, offset: number) => void;
}

const types: Readonly<Record<string, EntryType>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/** uid_t -1 means "leave as it is" to chown(2). */
const largestId = 0xffff_fffe;
/** The end of the year 9999: file systems go beyond 2262, where nanoseconds no longer fit 64 bits. */
const largestTime = 253_402_300_799n * 1_000_000_000n;

/**
 * Reads a tar archive from an untrusted source: ustar, pax and GNU long names. Names are normalised, absolute ones made
 * relative; `..`, NUL, names that are not UTF-8, sparse files and unknown types are refused. Overrides of extended headers
 * are applied before any check; global ones are ignored, as Docker does. In a layer a 0/0 character device is a whiteout:
 * the overlay file system takes it for one.
 *
 * The content of an entry streams: it can be opened once, and only until the next entry is asked for. Reads its source to
 * the end, past the end of the archive. Throws IMAGE_INVALID.
 */
export async function* readTar(bytes: ByteStream, options: ReadTarOptions): AsyncGenerator<Entry> {
  const { entries = 10_000_000, totalBytes = 2 ** 42 } = options.limits ?? {};
  const reader = new ByteReader(bytes, totalBytes);
  let count = 0;
  try {
    for (;;) {
      const raw = await nextHeader(reader, options.limits?.headerBytes ?? 2 ** 20);
      if (raw === undefined) break;
      count += 1;
      if (count > entries) {
        throw new BuildError('IMAGE_INVALID', `the archive has more than ${entries} entries`);
      }
      const entry = toEntry(raw, options);
      // Only files have a body, whatever size the header of another type claims: so Go, so Docker.
      const body = new Body(reader, entry?.type === 'file' ? entry.size : 0);
      if (entry !== undefined) {
        options.onEntry?.(entry, reader.offset);
        yield entry.type === 'file' ? { ...entry, content: () => body.open() } : entry;
      }
      await body.finish();
    }
    await reader.drain();
  } finally {
    await reader.close();
  }
}

/** The content of one entry, taken from the reader that all entries share. */
class Body {
  readonly #reader: ByteReader;
  readonly #size: number;
  #left: number;
  #closed = false;

  constructor(reader: ByteReader, size: number) {
    this.#reader = reader;
    this.#size = size;
    this.#left = size;
  }

  async *open(): AsyncGenerator<Uint8Array> {
    if (this.#size === 0) return;
    if (this.#closed || this.#left !== this.#size) {
      throw new Error('the content of a streamed entry can be read once, before the next entry');
    }
    while (this.#left > 0) {
      const chunk = await this.#reader.some(this.#left);
      this.#left -= chunk.length;
      yield chunk;
    }
  }

  async finish(): Promise<void> {
    this.#closed = true;
    await this.#reader.skip(this.#left + padding(this.#size));
  }
}

function padding(size: number): number {
  return (blockSize - (size % blockSize)) % blockSize;
}

/** A header with what the extended headers before it say. */
interface RawEntry {
  readonly header: TarHeader;
  readonly pax: PaxRecords;
  readonly longName: string | undefined;
  readonly longLink: string | undefined;
}

async function nextHeader(reader: ByteReader, limit: number): Promise<RawEntry | undefined> {
  let pax: PaxRecords = new Map();
  let longName: string | undefined;
  let longLink: string | undefined;
  for (;;) {
    const block = await reader.read(blockSize);
    const header = block === undefined ? undefined : decodeHeader(block);
    if (header === undefined) {
      if (pax.size > 0 || longName !== undefined || longLink !== undefined) {
        throw new BuildError('IMAGE_INVALID', 'the archive ends after an extended header');
      }
      if (block !== undefined) await checkEnd(reader);
      return undefined;
    }
    if (!'xgLK'.includes(header.typeflag)) return { header, pax, longName, longLink };
    if (header.size < 0 || header.size > limit) {
      throw new BuildError('IMAGE_INVALID', `the archive has an extended header of ${header.size} bytes`);
    }
    // Copied: the values outlive the chunk that they came in.
    const body = Buffer.from((await reader.read(header.size)) ?? []);
    if (body.length !== header.size) throw new BuildError('IMAGE_INVALID', 'the archive is cut short');
    await reader.skip(padding(header.size));
    if (header.typeflag === 'x') pax = decodePax(body);
    else if (header.typeflag === 'L') longName = gnuName(body);
    else if (header.typeflag === 'K') longLink = gnuName(body);
  }
}

/** Two blocks of zeros end an archive. Tools disagree on what one followed by something else means, so it is refused. */
async function checkEnd(reader: ByteReader): Promise<void> {
  const second = await reader.read(blockSize);
  if (second !== undefined && second.some((byte) => byte !== 0)) {
    throw new BuildError('IMAGE_INVALID', 'the archive goes on after its end');
  }
}

function gnuName(body: Buffer): string {
  const end = body.indexOf(0);
  return paxText(end === -1 ? body : body.subarray(0, end));
}

/** undefined for what means nothing in a layer. */
function toEntry(raw: RawEntry, options: ReadTarOptions): Entry | undefined {
  const { header, pax } = raw;
  const depth = options.limits?.depth ?? defaultDepth;
  for (const key of pax.keys()) {
    if (key.startsWith('GNU.sparse.')) throw sparse();
  }
  const name = paxName(pax, 'path') ?? raw.longName ?? header.name;
  const type = header.typeflag === '\0' && name.endsWith('/') ? 'directory' : types[header.typeflag];
  if (header.typeflag === 'S') throw sparse();
  if (type === undefined) {
    throw new BuildError(
      'IMAGE_INVALID',
      `the archive has an entry of type ${JSON.stringify(header.typeflag)}`,
    );
  }
  const target = paxName(pax, 'linkpath') ?? raw.longLink ?? header.linkname;
  if (
    options.absolute === 'refuse' &&
    (name.startsWith('/') || (type === 'hardlink' && target.startsWith('/')))
  ) {
    throw new BuildError('IMAGE_INVALID', `the archive has an absolute name: ${name}`);
  }
  const path = normalizeEntryPath(name, depth);
  const device = type === 'char' || type === 'block';
  const whiteout = options.whiteouts ? whiteoutOf(path, type, header) : undefined;
  if (whiteout !== undefined) return whiteout === 'ignored' ? undefined : whiteout;
  if (path === '' && type !== 'directory') {
    // CVE-2021-29136: a link in the place of the root would redirect all that follows.
    throw new BuildError('IMAGE_INVALID', `the archive has a ${type} in the place of its root`);
  }
  // As containerd: the root of a container is 0755 and root's, whatever a layer says of it.
  if (path === '' && options.whiteouts) return undefined;
  const xattrs = xattrsOf(pax);
  return {
    path,
    type,
    mode: header.mode & 0o7777,
    uid: id(pax.get('uid'), header.uid),
    gid: id(pax.get('gid'), header.gid),
    size: type === 'file' ? sizeOf(pax.get('size'), header.size) : 0,
    mtime: timeOf(pax.get('mtime'), header.mtime),
    ...(type === 'symlink' ? { linkTarget: symlinkTarget(path, target) } : {}),
    ...(type === 'hardlink' ? { linkTarget: hardlinkTarget(path, target, depth) } : {}),
    ...(xattrs === undefined ? {} : { xattrs }),
    ...(device ? { devMajor: header.devMajor, devMinor: header.devMinor } : {}),
  };
}

/** An empty value takes an override back: POSIX, pax, "pax Extended Header". */
function paxName(pax: PaxRecords, key: string): string | undefined {
  const value = pax.get(key);
  return value === undefined || value.length === 0 ? undefined : paxText(value);
}

/** OCI image-spec, layer.md "Whiteouts". */
function whiteoutOf(path: string, type: EntryType, header: TarHeader): Entry | 'ignored' | undefined {
  const name = baseName(path);
  const parent = parentPath(path);
  const plain = { mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n } as const;
  if (`/${parent}`.includes('/.wh.')) {
    throw new BuildError('IMAGE_INVALID', `the layer has an entry below a whiteout: ${path}`);
  }
  if (name === '.wh..wh..opq') return { path: parent, type: 'opaque', ...plain };
  if (name.startsWith('.wh..wh.')) return 'ignored';
  if (name.startsWith('.wh.')) {
    const hidden = name.slice(4);
    if (hidden === '' || hidden === '.' || hidden === '..') {
      throw new BuildError('IMAGE_INVALID', `the layer has a whiteout that names nothing: ${path}`);
    }
    return { path: joinPath(parent, hidden), type: 'whiteout', ...plain };
  }
  if (type === 'char' && header.devMajor === 0 && header.devMinor === 0 && path !== '') {
    return { path, type: 'whiteout', ...plain };
  }
  return undefined;
}

function xattrsOf(pax: PaxRecords): Record<string, Uint8Array> | undefined {
  const prefix = 'SCHILY.xattr.';
  const found = [...pax].filter(([key]) => key.startsWith(prefix) && key.length > prefix.length);
  if (found.length === 0) return undefined;
  return Object.fromEntries(found.map(([key, value]) => [key.slice(prefix.length), value]));
}

function decimal(value: Buffer): number {
  const text = value.toString('latin1');
  const result = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(result)) {
    throw new BuildError('IMAGE_INVALID', 'the archive has a malformed number in an extended header');
  }
  return result;
}

function id(override: Buffer | undefined, value: number): number {
  const result = override === undefined || override.length === 0 ? value : decimal(override);
  if (result < 0 || result > largestId) {
    throw new BuildError('IMAGE_INVALID', `the archive has an owner that cannot be: ${result}`);
  }
  return result;
}

function sizeOf(override: Buffer | undefined, value: number): number {
  const result = override === undefined || override.length === 0 ? value : decimal(override);
  if (result < 0) throw new BuildError('IMAGE_INVALID', 'the archive has a file of negative size');
  return result;
}

function timeOf(override: Buffer | undefined, seconds: number): bigint {
  const time =
    override === undefined || override.length === 0
      ? BigInt(seconds) * 1_000_000_000n
      : parsePaxTime(override.toString('latin1'));
  if (time > largestTime || time < -largestTime) {
    throw new BuildError('IMAGE_INVALID', 'the archive has a time that cannot be');
  }
  return time;
}

function symlinkTarget(path: string, target: string): string {
  if (target === '' || target.length > 4095) {
    throw new BuildError('IMAGE_INVALID', `the archive has a symbolic link without a usable target: ${path}`);
  }
  return target;
}

function hardlinkTarget(path: string, target: string, depth: number): string {
  const normal = normalizeEntryPath(target, depth);
  if (normal === '' || normal === path) {
    throw new BuildError('IMAGE_INVALID', `the archive has a hard link without a usable target: ${path}`);
  }
  return normal;
}

function sparse(): BuildError {
  return new BuildError('IMAGE_INVALID', 'the archive has a sparse file, which layers must not have', {
    hint: 'write it without sparse files: tar without -S',
  });
}
