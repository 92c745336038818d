// The only importer of tar-stream. It frames the archive; pax records are made here, because it writes their values as text, which
// destroys binary xattrs, and because it saturates large ids and times without a word.
import type { Pack } from 'tar-stream';
import { pack as createPack } from 'tar-stream';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import type { Entry, EntryStream } from './entry.ts';
import { joinPath } from './entry-path.ts';
import { encodePax, formatPaxTime } from './pax.ts';
import { blockSize, encodeHeader } from './tar-header.ts';

export interface WriteTarOptions {
  /** Later mtimes become this one; nanoseconds. */
  readonly clampMtime?: bigint | undefined;
  /** Told before the content of each entry where in the archive it will begin. */
  readonly onEntry?: ((entry: Entry, offset: number) => void) | undefined;
}

/** Small writes are gathered to this many bytes: a stream of 512-byte chunks would cost more than the work on them. */
const gather = 128 * 1024;

/** Greatest values that tar-stream's octal fields hold; what is larger needs a pax record. */
const largest = { id: 0o777777, size: 0o77777777777, mtime: 0x7fffffff } as const;

/**
 * The canonical tar of a layer (X-RE-4): equal entries give equal bytes. ustar, with pax headers only for what does not fit
 * (times with nanoseconds or after 2038, ids above 262143, names above 100 bytes or not of printable ASCII, sizes from 8 GiB, xattrs);
 * owner names empty; whiteouts as `.wh.` names. Keeps the order of the entries. Throws IMAGE_INVALID when content has not the size
 * that its entry says. May be consumed once.
 */
export async function* writeTar(
  entries: EntryStream,
  options: WriteTarOptions = {},
): AsyncGenerator<Uint8Array> {
  const archive = createPack();
  let failure: { readonly error: unknown } | undefined;
  const feeding = feed(archive, entries, options).catch((error: unknown) => {
    failure ??= { error };
    archive.destroy();
  });
  try {
    yield* gathered(archive as unknown as ByteStream);
  } catch (error) {
    failure ??= { error };
  } finally {
    // Where the consumer left early, this ends the feeding too.
    archive.destroy();
    await feeding;
  }
  if (failure !== undefined) throw failure.error;
}

async function* gathered(bytes: ByteStream): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    parts.push(chunk);
    size += chunk.length;
    if (size < gather) continue;
    yield parts.length === 1 ? chunk : Buffer.concat(parts, size);
    parts = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(parts, size);
}

async function feed(archive: Pack, entries: EntryStream, options: WriteTarOptions): Promise<void> {
  let offset = 0;
  for await (const given of entries) {
    const entry = canonical(given, options.clampMtime);
    const { header, pax } = headerOf(entry);
    if (pax !== undefined) {
      archive.push(pax);
      offset += pax.length;
    }
    offset += blockSize;
    options.onEntry?.(entry, offset);
    await writeEntry(archive, header, entry.size === 0 ? undefined : contentOf(given));
    offset += padded(entry.size);
    if (archive.destroyed) return;
  }
  archive.finalize();
}

/** Ends when the archive has taken the entry; what follows may then be pushed. */
async function writeEntry(
  archive: Pack,
  header: TarStreamHeader,
  content: ByteStream | undefined,
): Promise<void> {
  const taken = Promise.withResolvers<void>();
  const sink = archive.entry(header, () => taken.resolve());
  // What breaks a sink is told by the archive.
  sink.on('error', () => undefined);
  let wake = (): void => undefined;
  sink.on('drain', () => wake());
  sink.on('close', () => wake());
  if (content !== undefined) {
    const size = header.size ?? 0;
    let left = size;
    for await (const chunk of content) {
      left -= chunk.length;
      if (left < 0) throw wrongSize(header.name, size);
      if (archive.destroyed) return;
      if (sink.write(chunk)) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (left !== 0) throw wrongSize(header.name, size);
  }
  sink.end(undefined);
  await taken.promise;
}

function padded(size: number): number {
  return Math.ceil(size / blockSize) * blockSize;
}

function contentOf(entry: Entry): ByteStream {
  if (entry.content === undefined) throw new Error(`no content for ${entry.path}`);
  return entry.content();
}

/** What has no meaning for its type gets one value, so that it cannot reach a digest. */
function canonical(entry: Entry, clamp: bigint | undefined): Entry {
  if (entry.type === 'whiteout' || entry.type === 'opaque') {
    return { path: entry.path, type: entry.type, mode: 0, uid: 0, gid: 0, size: 0, mtime: 0n };
  }
  const mtime = clamp !== undefined && entry.mtime > clamp ? clamp : entry.mtime;
  return {
    ...entry,
    mtime,
    mode: entry.type === 'symlink' ? 0o777 : entry.mode & 0o7777,
    size: entry.type === 'file' ? entry.size : 0,
  };
}

const types = {
  file: 'file',
  hardlink: 'link',
  symlink: 'symlink',
  char: 'character-device',
  block: 'block-device',
  directory: 'directory',
  fifo: 'fifo',
  whiteout: 'file',
  opaque: 'file',
} as const;

function nameOf(entry: Entry): string {
  switch (entry.type) {
    case 'directory':
      return entry.path === '' ? './' : `${entry.path}/`;
    case 'whiteout': {
      const slash = entry.path.lastIndexOf('/') + 1;
      return `${entry.path.slice(0, slash)}.wh.${entry.path.slice(slash)}`;
    }
    case 'opaque':
      return joinPath(entry.path, '.wh..wh..opq');
    case 'file':
    case 'symlink':
    case 'hardlink':
    case 'char':
    case 'block':
    case 'fifo':
      return entry.path;
    default:
      throw new Error(`no tar entry for ${String(entry.type)}`);
  }
}

type TarStreamHeader = Parameters<Pack['entry']>[0];

/** Set in every mode: tar-stream takes 0 for a missing mode, and writes only the twelve bits below. */
const modeGiven = 0o10000;

function headerOf(entry: Entry): { readonly header: TarStreamHeader; readonly pax: Buffer | undefined } {
  const name = nameOf(entry);
  const link = entry.linkTarget ?? '';
  const seconds = entry.mtime / 1_000_000_000n;
  const pax = new Map<string, string | Uint8Array>();
  if (!fitsName(name)) pax.set('path', name);
  if (!fitsName(link)) pax.set('linkpath', link);
  if (entry.uid > largest.id) pax.set('uid', String(entry.uid));
  if (entry.gid > largest.id) pax.set('gid', String(entry.gid));
  if (entry.size > largest.size) pax.set('size', String(entry.size));
  if (entry.mtime < 0n || seconds > largest.mtime || entry.mtime % 1_000_000_000n !== 0n) {
    pax.set('mtime', formatPaxTime(entry.mtime));
  }
  for (const [key, value] of Object.entries(entry.xattrs ?? {})) {
    if (/[=\0]/.test(key))
      throw new BuildError('IMAGE_INVALID', `no tar can hold the xattr ${JSON.stringify(key)}`);
    pax.set(`SCHILY.xattr.${key}`, value);
  }
  if (Math.max(entry.devMajor ?? 0, entry.devMinor ?? 0) > largest.id) {
    throw new BuildError('UNSUPPORTED_HERE', `${name} has a device number that no portable tar can hold`);
  }
  const header: TarStreamHeader = {
    name: pax.has('path') ? fallbackName(name) : name,
    type: types[entry.type],
    mode: modeGiven | entry.mode,
    uid: Math.min(entry.uid, largest.id),
    gid: Math.min(entry.gid, largest.id),
    size: entry.size,
    mtime: new Date(entry.mtime < 0n ? 0 : Math.min(Number(seconds), largest.mtime) * 1000),
    linkname: pax.has('linkpath') ? fallbackName(link) : link,
    uname: '',
    gname: '',
    devmajor: entry.devMajor ?? 0,
    devminor: entry.devMinor ?? 0,
  };
  return { header, pax: pax.size === 0 ? undefined : paxBlocks(encodePax(pax)) };
}

/** An extended header with its content: tar-stream gives a body to files alone. */
function paxBlocks(body: Buffer): Buffer {
  const header = encodeHeader({
    name: 'PaxHeader',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: body.length,
    mtime: 0,
    typeflag: 'x',
    linkname: '',
    devMajor: 0,
    devMinor: 0,
  });
  return Buffer.concat([header, body, Buffer.alloc(padded(body.length) - body.length)]);
}

const plainName = /^[ -~]{0,100}$/;

function fitsName(name: string): boolean {
  return plainName.test(name);
}

/** What a tool without pax shows: the end of the name, with `_` for what is not ASCII. */
function fallbackName(name: string): string {
  const ascii = name.replace(/[^ -~]/g, '_');
  return ascii.slice(-100).replace(/^\/+/, '');
}

function wrongSize(name: string, size: number): BuildError {
  return new BuildError('IMAGE_INVALID', `${name} does not have the ${size} bytes that were announced`, {
    hint: 'a file that changes while it is read cannot be packed',
  });
}
