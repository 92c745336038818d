import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import type { Entry, EntryStream } from './entry.ts';
import { joinPath } from './entry-path.ts';
import { encodePax, formatPaxTime } from './pax.ts';
import { blockSize, encodeHeader, largest } from './tar-header.ts';

export interface WriteTarOptions {
  /** Later mtimes become this one; nanoseconds. */
  readonly clampMtime?: bigint | undefined;
  /** Told before the content of each entry where in the archive it will begin. */
  readonly onEntry?: ((entry: Entry, offset: number) => void) | undefined;
}

/** Small writes are gathered to this many bytes: a stream of 512-byte chunks would cost more than the work on them. */
const gather = 128 * 1024;

/**
 * The canonical tar of a layer (X-RE-4): equal entries give equal bytes. ustar, with pax headers only for what does not fit
 * (times with nanoseconds, ids above 2097151, names above 100 bytes or not of printable ASCII, sizes from 8 GiB, xattrs); owner names
 * empty; whiteouts as `.wh.` names. Keeps the order of the entries. Throws IMAGE_INVALID when content has not the size that
 * its entry says. May be consumed once.
 */
export async function* writeTar(entries: EntryStream, options: WriteTarOptions = {}): ByteStreamGenerator {
  let parts: Uint8Array[] = [];
  let gathered = 0;
  let offset = 0;
  const flush = (): Uint8Array => {
    const chunk = parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts, gathered);
    parts = [];
    gathered = 0;
    return chunk;
  };
  for await (const given of entries) {
    const entry = canonical(given, options.clampMtime);
    const head = headerBlocks(entry);
    parts.push(head);
    gathered += head.length;
    offset += head.length;
    options.onEntry?.(entry, offset);
    if (entry.size > 0) {
      let left = entry.size;
      for await (const chunk of contentOf(given)) {
        left -= chunk.length;
        if (left < 0) throw wrongSize(entry);
        parts.push(chunk);
        gathered += chunk.length;
        if (gathered >= gather) yield flush();
      }
      if (left !== 0) throw wrongSize(entry);
      const pad = (blockSize - (entry.size % blockSize)) % blockSize;
      if (pad > 0) parts.push(new Uint8Array(pad));
      gathered += pad;
      offset += entry.size + pad;
    }
    if (gathered >= gather) yield flush();
  }
  parts.push(new Uint8Array(2 * blockSize));
  gathered += 2 * blockSize;
  yield flush();
}

type ByteStreamGenerator = AsyncGenerator<Uint8Array>;

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

const typeflags = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
  whiteout: '0',
  opaque: '0',
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

function headerBlocks(entry: Entry): Buffer {
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
  const header = encodeHeader({
    name: pax.has('path') ? fallbackName(name) : name,
    mode: entry.mode,
    uid: Math.min(entry.uid, largest.id),
    gid: Math.min(entry.gid, largest.id),
    size: pax.has('size') ? 0 : entry.size,
    mtime: entry.mtime < 0n ? 0 : Math.min(Number(seconds), largest.mtime),
    typeflag: typeflags[entry.type],
    linkname: pax.has('linkpath') ? fallbackName(link) : link,
    devMajor: entry.devMajor ?? 0,
    devMinor: entry.devMinor ?? 0,
  });
  return pax.size === 0 ? header : Buffer.concat([paxBlocks(encodePax(pax)), header]);
}

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
  const pad = (blockSize - (body.length % blockSize)) % blockSize;
  return Buffer.concat([header, body, Buffer.alloc(pad)]);
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

function wrongSize(entry: Entry): BuildError {
  return new BuildError(
    'IMAGE_INVALID',
    `${entry.path} does not have the ${entry.size} bytes that were announced`,
    {
      hint: 'a file that changes while it is read cannot be packed',
    },
  );
}
