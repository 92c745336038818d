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
import type { ProjectFile } from './built.ts';
import { makeProject } from './built.ts';
import { faultsOf, lowerText } from './lowered.ts';

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

describe('L-ADD-1: what counts as an archive', () => {
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

test('L-ADD-1: zstd data of several frames, with skippable ones between, is one archive', async () => {
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

describe('L-ADD-1: extraction', () => {
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
      'd 755 0:0 o',
      'd 755 0:0 o/etc',
      's 777 1:2 o/up -> ../../../../etc',
      'f 644 1:2 o/etc/passwd=evil',
    ]);
  });

  test('`..` in a name is refused', async () => {
    const archive = await tar({ path: 'ok/x', text: 'evil' });
    archive.write('../x', 0);
    archive.fill(0, 4, 10);
    let sum = 0;
    for (let i = 0; i < 512; i += 1) sum += i >= 148 && i < 156 ? 32 : (archive[i] ?? 0);
    archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    await expect(add(archive)).rejects.toMatchObject({
      code: 'COPY_INVALID',
      message: expect.stringContaining('the path "../x" contains `..`'),
      hint: expect.not.stringContaining('damaged'),
    });
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

/** What an instruction makes of a context, from scratch. */
async function built(files: Readonly<Record<string, ProjectFile>>, text: string): Promise<readonly string[]> {
  await using project = await makeProject(files);
  return (await project.build(`FROM scratch\n${text}\n`)).lines;
}

describe('L-ADD-1: archives of a context', () => {
  const some = (): Promise<Buffer> =>
    tar(
      { path: 'd/f', text: 'F', mode: 0o640, uid: 7, gid: 8 },
      { path: 'd/e', type: 'directory', mode: 0o1777, uid: 9, mtime: 88_000_000_000n },
      { path: 'h', type: 'hardlink', linkTarget: 'd/f' },
      { path: 'l', type: 'symlink', linkTarget: 'd/e', mtime: 5_500_000_000n },
    );
  const unpacked = (at: string): string[] => [
    `d 755 0:0 ${at}`,
    `d 755 0:0 ${at}/d`,
    `d 1777 9:2 ${at}/d/e`,
    `f 640 7:8 ${at}/d/f=F = ${at}/h`,
    `f 640 7:8 ${at}/h=F = ${at}/d/f`,
    `s 1:2 ${at}/l -> d/e`,
  ];

  test('are unpacked whatever their name; the destination is a directory, slash or not', async () => {
    const content = await some();
    const files = { 'a.tar': { content }, 'b.txt': { content: gzipSync(content) }, c: { link: 'a.tar' } };
    for (const text of [
      'ADD a.tar /o',
      'ADD b.txt /o/',
      'ADD c /o',
      'ADD a.* /o',
      'ADD --unpack a.tar b.txt /o/',
    ]) {
      expect(await built(files, text)).toEqual(unpacked('/o'));
    }
  });

  test('times are those of the archive', async () => {
    await using project = await makeProject({ 'a.tar': { content: await some() } });
    const { times } = await project.build('FROM scratch\nADD a.tar /o/\n');
    expect(times).toMatchObject({ '/o/d/e': '88', '/o/d/f': '0', '/o/l': '5.5' });
  });

  test('COPY, --unpack=false, and directories that hold one leave it packed', async () => {
    const content = await some();
    const lines = await built(
      { 'd/a.tar': { content } },
      'COPY d/a.tar /1\nADD --unpack=false d/a.tar /2/\nADD d /3\nADD --unpack=false d/*.tar /4/',
    );
    expect(lines.filter((line) => line.startsWith('f')).map((line) => line.replace(/=[^]*/, ''))).toEqual([
      'f 644 0:0 /1',
      'f 644 0:0 /2/a.tar',
      'f 644 0:0 /3/a.tar',
      'f 644 0:0 /4/a.tar',
    ]);
  });

  test('among files and directories, in order', async () => {
    const files = {
      'a.tar': { content: await tar({ path: 'f', text: 'of the archive' }) },
      f: 'a file',
      'd/f': 'of d',
    };
    const last = async (text: string): Promise<string | undefined> => (await built(files, text)).at(-1);
    expect(await last('ADD a.tar f /o/')).toBe('f 644 0:0 /o/f=a file');
    expect(await last('ADD f a.tar /o/')).toBe('f 644 1:2 /o/f=of the archive');
    expect(await last('ADD a.tar d /o/')).toBe('f 644 0:0 /o/f=of d');
  });

  test('--chown is for all that it has, --chmod for nothing of it', async () => {
    const lines = await built(
      { 'a.tar': { content: await some() } },
      'ADD --chown=3:4 --chmod=700 a.tar /x/o',
    );
    expect(lines).toEqual([
      'd 755 3:4 /x',
      'd 755 3:4 /x/o',
      'd 755 0:0 /x/o/d',
      'd 1777 3:4 /x/o/d/e',
      'f 640 3:4 /x/o/d/f=F = /x/o/h',
      'f 640 3:4 /x/o/h=F = /x/o/d/f',
      's 3:4 /x/o/l -> d/e',
    ]);
  });

  test('--link and --exclude: the first as for files, the second says nothing of what is in it', async () => {
    const files = { 'a.tar': { content: await some() }, 'base/o': { link: 'real' }, 'base/real/x': '' };
    expect(await built(files, 'COPY base /\nADD --link --exclude=h a.tar /o')).toEqual([
      ...unpacked('/o'),
      'd 755 0:0 /real',
      'f 644 0:0 /real/x=',
    ]);
    expect(await built(files, 'ADD --exclude=*.tar a.tar base/real/x /o/')).toEqual([
      'd 755 0:0 /o',
      'f 644 0:0 /o/x=',
    ]);
  });

  test('through a linked destination it stays in the image', async () => {
    const content = await tar({ path: 'passwd', text: 'evil' });
    const files = {
      'a.tar': { content },
      'base/out': { link: '../../../../etc' },
      'base/in': { link: '/usr/lib' },
    };
    expect(await built(files, 'COPY base /\nADD a.tar /out\nADD a.tar /in/deeper/')).toEqual([
      'd 755 0:0 /etc',
      'f 644 1:2 /etc/passwd=evil',
      's 0:0 /in -> /usr/lib',
      's 0:0 /out -> ../../../../etc',
      'd 755 0:0 /usr',
      'd 755 0:0 /usr/lib',
      'd 755 0:0 /usr/lib/deeper',
      'f 644 1:2 /usr/lib/deeper/passwd=evil',
    ]);
  });

  test('links of the archive itself end in the directory that it is unpacked in', async () => {
    const content = await tar(
      { path: 'root', type: 'symlink', linkTarget: '/' },
      { path: 'root/a', text: 'A' },
      { path: 'up', type: 'symlink', linkTarget: '../../..' },
      { path: 'up/b', text: 'B' },
    );
    expect(
      (await built({ 'a.tar': { content } }, 'ADD a.tar /o/')).filter((line) => line.startsWith('f')),
    ).toEqual(['f 644 1:2 /o/a=A', 'f 644 1:2 /o/b=B']);
  });

  test('a hard link to a file that was there before', async () => {
    const files = {
      'a.tar': { content: await tar({ path: 'b', type: 'hardlink', linkTarget: 'a' }) },
      'base/o/a': 'before',
    };
    expect(await built(files, 'COPY --chown=5 base/o /o\nADD a.tar /o/')).toEqual([
      'd 755 5:5 /o',
      'f 644 5:5 /o/a=before = /o/b',
      'f 644 5:5 /o/b=before = /o/a',
    ]);
    await using project = await makeProject(files);
    expect(await project.fails('FROM scratch\nADD a.tar /p/')).toMatchInlineSnapshot(
      `"COPY_INVALID 2:1 the archive has a hard link \`b\` to \`a\`, which is no file"`,
    );
  });

  test('directories merge, anything else is replaced, as tar does it', async () => {
    const content = await tar(
      { path: 'file/in', text: 'now a directory' },
      { path: 'file', type: 'directory', mode: 0o711 },
      { path: 'link', type: 'directory', mode: 0o700 },
      { path: 'link/x', text: 'X' },
      { path: 'dir', text: 'now a file' },
      { path: 'to', text: 'not through the link' },
    );
    // A file in the way of an implied directory is an error, so the directory comes first.
    const ordered = await tar(
      { path: 'file', type: 'directory', mode: 0o711 },
      { path: 'file/in', text: 'now a directory' },
      { path: 'link', type: 'directory', mode: 0o700 },
      { path: 'link/x', text: 'X' },
      { path: 'dir', text: 'now a file' },
      { path: 'to', text: 'not through the link' },
    );
    const files = {
      'bad.tar': { content },
      'a.tar': { content: ordered },
      'base/file': 'was a file',
      'base/link': { link: 'real' },
      'base/real/y': '',
      'base/dir/z': '',
      'base/to': { link: 'real/y' },
    };
    expect(await built(files, 'COPY base /o\nADD a.tar /o')).toEqual([
      'd 755 0:0 /o',
      'f 644 1:2 /o/dir=now a file',
      'd 711 1:2 /o/file',
      'f 644 1:2 /o/file/in=now a directory',
      'd 700 1:2 /o/link',
      'f 644 1:2 /o/link/x=X',
      'd 755 0:0 /o/real',
      'f 644 0:0 /o/real/y=',
      'f 644 1:2 /o/to=not through the link',
    ]);
    await using project = await makeProject(files);
    expect(await project.fails('FROM scratch\nCOPY base /o\nADD bad.tar /o')).toMatchInlineSnapshot(
      `"COPY_INVALID 3:1 cannot copy to \`/o/file\`: it is no directory but a file | name another destination, or remove the file in a step before"`,
    );
    expect(await project.fails('FROM scratch\nCOPY base /o\nADD a.tar /o/file')).toMatchInlineSnapshot(
      `"COPY_INVALID 3:1 cannot copy to \`/o/file\`: it is no directory but a file | name another destination, or remove the file in a step before"`,
    );
  });

  test('devices, FIFOs, set-id bits and attributes come along', async () => {
    const xattrs = {
      'user.a': Buffer.from([0x80, 0]),
      'security.capability': Buffer.from('01000002', 'hex'),
    };
    const content = await tar(
      { path: 'null', type: 'char', devMajor: 1, devMinor: 3, mode: 0o666 },
      { path: 'disk', type: 'block', devMajor: 7, devMinor: 1 },
      { path: 'pipe', type: 'fifo' },
      { path: 'suid', mode: 0o6755, xattrs },
    );
    await using project = await makeProject({ 'a.tar': { content } });
    const { lines, layers } = await project.build('FROM scratch\nADD a.tar /\n');
    expect(lines).toEqual([
      'b 644 1:2 /disk 7:1',
      'c 666 1:2 /null 1:3',
      'p 644 1:2 /pipe',
      'f 6755 1:2 /suid=',
    ]);
    expect(layers[0]?.find(({ path }) => path === 'suid')?.xattrs).toEqual({
      'security.capability': '01000002',
      'user.a': '8000',
    });
  });

  test('what is broken is told with the line', async () => {
    const whole = await some();
    await using project = await makeProject({
      'cut.tar': { content: whole.subarray(0, 1600) },
      'cut.tgz': { content: gzipSync(await tar({ path: 'a', text: 'x'.repeat(5000) })).subarray(0, -20) },
    });
    expect(await project.fails('FROM scratch\nADD cut.tar /')).toMatchInlineSnapshot(
      `"COPY_INVALID 2:1 the archive cannot be unpacked: the archive is cut short | it is cut short or damaged; with --unpack=false it is copied as it is"`,
    );
    expect(await project.fails('FROM scratch\nADD cut.tgz /')).toMatchInlineSnapshot(
      `"COPY_INVALID 2:1 the archive cannot be unpacked: unexpected end of file | it is cut short or damaged; with --unpack=false it is copied as it is"`,
    );
  });

  test('the same file packed in another way is another input, and a touched one is not', async () => {
    const content = await some();
    await using project = await makeProject({ 'a.tar': { content } });
    const text = 'FROM scratch\nADD a.tar /o/\n';
    expect((await project.build(text)).cached).toBe(0);
    const { utimesSync, writeFileSync } = await import('node:fs');
    utimesSync(`${project.path}/a.tar`, 1, 2);
    expect((await project.build(text)).cached).toBe(1);
    writeFileSync(`${project.path}/a.tar`, gzipSync(content));
    expect((await project.build(text)).cached).toBe(0);
  });
});

describe('L-ADD-5: heredocs as sources', () => {
  test.each(['COPY', 'ADD'])(
    '%s: a file named after the delimiter, 0644, of root, in a directory or under a name',
    async (name) => {
      const text = `ARG WHO=me\n${name} <<EOF <<-"two words.txt" /o/\nhello $WHO \${WHO:+set}\nEOF\n\t\ttabs $WHO\n\ttwo words.txt\n${name} <<x /named\nx`;
      const files = {};
      const accepted = await built(
        files,
        text.replace('"two words.txt"', '"two"').replace('\ttwo words.txt', '\ttwo'),
      );
      expect(accepted).toEqual([
        'f 644 0:0 /named=',
        'd 755 0:0 /o',
        'f 644 0:0 /o/EOF=hello me set\n',
        'f 644 0:0 /o/two=tabs $WHO\n',
      ]);
    },
  );

  test('beside files, which come first; the later of one name wins', async () => {
    const files = { f: 'a file', EOF: 'a file' };
    expect(await built(files, 'COPY <<EOF f EOF /o/\nheredoc\nEOF')).toEqual([
      'd 755 0:0 /o',
      'f 644 0:0 /o/EOF=heredoc\n',
      'f 644 0:0 /o/f=a file',
    ]);
  });

  test('--chown, --chmod and --link count', async () => {
    expect(
      await built({}, 'COPY --link --chown=3:4 <<EOF /a/b\nx\nEOF\nADD --chmod=u+x,g=u <<EOF /c\ny\nEOF'),
    ).toEqual(['d 755 3:4 /a', 'f 644 3:4 /a/b=x\n', 'f 774 0:0 /c=y\n']);
  });

  test('one that holds the text of an archive is a file', async () => {
    const { definition } = await lowerText('FROM scratch\nADD <<a.tar /\nBZh9\na.tar');
    expect(definition.vertices.at(-1)?.op).toMatchObject({
      sources: [{ kind: 'inline', name: 'a.tar', content: 'BZh9\n', mode: 0o644 }],
    });
    expect(await built({}, 'ADD <<a.tar /\nBZh9\na.tar')).toEqual(['f 644 0:0 /a.tar=BZh9\n']);
  });

  test('none is a destination, or named like a path', async () => {
    expect(await faultsOf('FROM scratch\nCOPY a <<EOF\nEOF')).toEqual([
      'DOCKERFILE_SYNTAX 2:8 a heredoc cannot be the destination',
    ]);
    expect(await faultsOf('FROM scratch\nCOPY <<a/b /o/\na/b')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:6 `a/b` cannot be a file name',
    ]);
  });
});
