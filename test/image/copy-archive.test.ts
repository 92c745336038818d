import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { openArchive } from '../../src/image/archive-detect.ts';
import type { CopySpec } from '../../src/image/copy.ts';
import { copyEntries } from '../../src/image/copy.ts';
import type { Entry } from '../../src/image/entry.ts';
import { writeTar } from '../../src/image/tar.ts';
import type { LiteralFile } from '../../src/source/literal-tree.ts';
import { literalTree } from '../../src/source/literal-tree.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';

// `printf 'x\n' > hello; tar --format=ustar --owner=0 --group=0 --mtime=@0 --sort=name -c hello`, packed by bzip2 and xz.
const bzip2 =
  'QlpoOTFBWSZTWYcrHRcAAHj7kMmQAEBAAH0AAAhiRJ5ABAAACCAAVDKjE0YTaIZPQIqTRoBoBoFD7rCyKIXSEUzhXOBOmV8kEgPt' +
  'QaRRN2JsDy0JWbJ2ebXlfAqPhhJK0KueySBoXckU4UJCHKx0XA==';
const xz =
  '/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4Cf/AGVdADQZSe6N1/i4P8k3Mt7I1YAxNDm+PYf50J5q88ranLiHaGLdLOtbjHX2tvDP' +
  'xP9kVFD8iDo7p75eWe3WxwR1fFEJ7/Z6S1BljEICHUK4FH5sna653QH7k9KCQG3tNos9j834lb0AAAAAAPS7lvxbC7N7AAGBAYBQ' +
  'AACbojyqscRn+wIAAAAABFla';

type Part = Partial<Entry> & { readonly path: string; readonly text?: string };

async function tar(...parts: readonly Part[]): Promise<Buffer> {
  async function* entries(): AsyncGenerator<Entry> {
    for (const { text = '', ...part } of parts) {
      const bytes = Buffer.from(text);
      yield {
        type: 'file',
        mode: 0o644,
        uid: 1,
        gid: 2,
        size: bytes.length,
        mtime: 0n,
        content: () => streamOf(bytes),
        ...part,
      };
    }
  }
  return readAll(writeTar(entries()), 1e8);
}

async function add(
  archive: Uint8Array,
  options: Partial<CopySpec> & {
    readonly base?: Readonly<Record<string, LiteralFile | string>>;
    readonly extract?: boolean;
  } = {},
): Promise<string[]> {
  const { base, extract = true, ...rest } = options;
  const source = { kind: 'input', input: 0, paths: ['a.tar'], extract } as const;
  const op = { sources: [source], dest: '/o/', parents: false, exclude: [], link: false, ...rest };
  const tree = literalTree({ 'a.tar': { content: archive } });
  const lines: string[] = [];
  const seen = new Set(['']);
  for await (const entry of copyEntries({
    op,
    sources: [{ source, tree, keepOwners: false }],
    base: base === undefined ? undefined : literalTree(base),
    now: 0n,
  })) {
    const { path, type, mode, uid, gid, linkTarget, content } = entry;
    expect(seen.has(path)).toBe(false);
    expect(seen.has(path.split('/').slice(0, -1).join('/'))).toBe(true);
    seen.add(path);
    const text = content === undefined ? '' : `=${(await readAll(content(), 1e6)).toString().slice(0, 20)}`;
    const target = linkTarget === undefined ? '' : ` -> ${linkTarget}`;
    lines.push(`${type[0]} ${mode.toString(8)} ${uid}:${gid} ${path}${target}${text}`);
  }
  return lines;
}

const directory = { type: 'directory', mode: 0o750 } as const;

describe('what counts as an archive (L-ADD-1)', () => {
  test('plain and packed ones, by their bytes', async () => {
    const plain = await tar({ path: 'hello', text: 'x\n', uid: 0, gid: 0 });
    for (const packed of [
      plain,
      gzipSync(plain),
      zstdCompressSync(plain),
      Buffer.from(bzip2, 'base64'),
      Buffer.from(xz, 'base64'),
    ]) {
      expect(await add(packed)).toEqual(['d 755 0:0 o', 'f 644 0:0 o/hello=x\n']);
    }
  });

  test.each([
    ['text', 'hello'],
    ['nothing', ''],
    ['packed text', gzipSync('hello')],
    ['zeros', Buffer.alloc(2048)],
    ['a magic number alone', Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3])],
    ['BZh and more', 'BZh9 is a nice name'],
    ['xz and more', Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), Buffer.alloc(100, 7)])],
    ['zstd and more', Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(100, 7)])],
  ])('%s is a file', async (_, content) => {
    const bytes = Buffer.from(content);
    expect(await openArchive(() => streamOf(bytes))).toBeUndefined();
    expect((await add(bytes)).at(-1)).toContain('f 644 0:0 o/a.tar=');
  });

  test('with --unpack=false an archive is a file', async () => {
    expect(
      (await add(await tar({ path: 'x' }), { extract: false })).map((line) => line.split('=')[0]),
    ).toEqual(['d 755 0:0 o', 'f 644 0:0 o/a.tar']);
  });
});

test('zstd data of several frames, with skippable ones between, is one archive', async () => {
  const plain = await tar({ path: 'a', text: 'A'.repeat(300_000) }, { path: 'b', text: 'B' });
  const skippable = Buffer.from([0x52, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const frames = [plain.subarray(0, 1000), plain.subarray(1000, 250_000), plain.subarray(250_000)].map(
    (part) => zstdCompressSync(part),
  );
  const packed = Buffer.concat([
    frames[0] as Buffer,
    skippable,
    frames[1] as Buffer,
    frames[2] as Buffer,
    skippable,
  ]);
  expect((await add(packed)).at(-1)).toBe('f 644 1:2 o/b=B');
  await expect(add(Buffer.concat([packed, Buffer.from('junk')]))).rejects.toMatchObject({
    code: 'COPY_INVALID',
  });
});

describe('extraction', () => {
  test('owners are kept unless --chown says otherwise; implied parents are 0755 of root', async () => {
    const archive = await tar({ path: 'd/f', text: 'F' }, { path: 'e', ...directory });
    expect(await add(archive)).toEqual([
      'd 755 0:0 o',
      'd 755 0:0 o/d',
      'd 750 1:2 o/e',
      'f 644 1:2 o/d/f=F',
    ]);
    // Directories that only the names of files imply have no owner to override: as with Docker.
    expect(await add(archive, { chown: '9:8', chmod: '700' })).toEqual([
      'd 755 9:8 o',
      'd 755 0:0 o/d',
      'd 750 9:8 o/e',
      'f 644 9:8 o/d/f=F',
    ]);
  });

  test('later entries win, hard links stay links, whiteout names are names', async () => {
    const archive = await tar(
      { path: 'a', text: 'old' },
      { path: 'b', type: 'hardlink', linkTarget: 'a' },
      { path: 'a', text: 'new' },
      { path: '.wh.x', text: 'w' },
    );
    expect(await add(archive)).toEqual([
      'd 755 0:0 o',
      'f 644 1:2 o/b=old',
      'f 644 1:2 o/a=new',
      'f 644 1:2 o/.wh.x=w',
    ]);
    const linked = await tar({ path: 'z', text: 'Z' }, { path: 'y', type: 'hardlink', linkTarget: 'z' });
    expect(await add(linked)).toEqual(['d 755 0:0 o', 'f 644 1:2 o/y=Z', 'h 644 1:2 o/z -> o/y']);
  });

  test('links of the base are followed on the way, inside the root', async () => {
    const base = {
      'usr/lib': { type: 'directory' },
      lib: { type: 'symlink', linkTarget: '/../usr/lib' },
    } as const;
    expect(await add(await tar({ path: 'lib/x', text: 'X' }), { dest: '/', base })).toEqual([
      'd 755 0:0 usr',
      'd 755 0:0 usr/lib',
      'f 644 1:2 usr/lib/x=X',
    ]);
  });

  test('a link in the archive cannot carry a later file out (S-P-3)', async () => {
    const archive = await tar(
      { path: 'up', type: 'symlink', linkTarget: '../../../../etc' },
      { path: 'up/passwd', text: 'evil' },
    );
    expect(await add(archive)).toEqual([
      'd 755 0:0 etc',
      'd 755 0:0 o',
      's 777 1:2 o/up -> ../../../../etc',
      'f 644 1:2 etc/passwd=evil',
    ]);
  });

  test('`..` in a name is refused', async () => {
    const archive = await tar({ path: 'ok/x', text: 'evil' });
    archive.write('../x', 0);
    archive.fill(0, 4, 10);
    let sum = 0;
    for (let i = 0; i < 512; i += 1) sum += i >= 148 && i < 156 ? 32 : (archive[i] ?? 0);
    archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    await expect(add(archive)).rejects.toMatchObject({ code: 'COPY_INVALID' });
  });

  test('a directory of the base is replaced by what is no directory, as tar does', async () => {
    const archive = await tar({ path: 'd', text: 'now a file' });
    expect(await add(archive, { base: { 'o/d/x': 'X' } })).toEqual([
      'd 755 0:0 o',
      'f 644 1:2 o/d=now a file',
    ]);
  });

  test('a cut or damaged archive is an error with a hint', async () => {
    const plain = await tar({ path: 'big', text: 'abcdefgh'.repeat(50_000) }, { path: 'z', text: 'z' });
    for (const broken of [
      plain.subarray(0, 300_000),
      gzipSync(plain).subarray(0, -100),
      Buffer.from(xz, 'base64').subarray(0, -40),
    ]) {
      await expect(add(broken)).rejects.toMatchObject({
        code: 'COPY_INVALID',
        hint: expect.stringContaining('cut short'),
      });
    }
  });

  test('a bomb stops (S-P-3)', { timeout: 30_000 }, async () => {
    const header = (await tar({ path: 'zeros', text: '' })).subarray(0, 512);
    header.write('77777777777\0', 124);
    let sum = 0;
    for (let i = 0; i < 512; i += 1) sum += i >= 148 && i < 156 ? 32 : (header[i] ?? 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const block = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
    // zstd frames may follow one another: one small block, many times.
    const bomb = Buffer.concat([zstdCompressSync(header), ...Array.from({ length: 20 }, () => block)]);
    expect(bomb.length).toBeLessThan(200_000);
    await expect(add(bomb)).rejects.toMatchObject({
      code: 'COPY_INVALID',
      message: expect.stringContaining('times its size'),
    });
  });
});
