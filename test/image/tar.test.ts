import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { extract, pack } from 'tar-stream';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../../src/image/entry.ts';
import type { ReadTarOptions } from '../../src/image/tar.ts';
import { readTar, writeTar } from '../../src/image/tar.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';
import {
  described,
  dir,
  file,
  hardlink,
  opaque,
  outline,
  streamOfEntries,
  symlink,
  textOf,
  whiteout,
} from './entries.ts';
import { memberBlocks, rawTar } from './raw-tar.ts';

function tarOf(...entries: readonly Entry[]): Promise<Buffer> {
  return readAll(writeTar(streamOfEntries(...entries)), 2 ** 26);
}

/** The bytes in chunks of an awkward size. */
async function* chunked(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const capability = Buffer.from('0100000280200000000000000000000000000000', 'hex');

describe('writeTar', () => {
  test('writes an archive that GNU tar reads', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tar-test-'));
    try {
      const path = join(directory, 'a.tar');
      const long = `${'d'.repeat(120)}/${'f'.repeat(140)}`;
      const entries = [
        dir('a'),
        file('a/f', 'text', { mode: 0o4755, uid: 3_000_000 }),
        hardlink('a/h', 'a/f'),
        symlink('a/l', '/etc/x'),
        file('é'),
        file(long),
      ];
      writeFileSync(path, await tarOf(...entries, whiteout('a/gone'), opaque('a')));
      const listing = execFileSync('tar', ['tf', path, '--quoting-style=literal'], { encoding: 'utf8' });
      expect(listing.trim().split('\n')).toEqual([
        'a/',
        'a/f',
        'a/h',
        'a/l',
        'é',
        long,
        'a/.wh.gone',
        'a/.wh..wh..opq',
      ]);
      const details = execFileSync('tar', ['tvf', path, '--numeric-owner'], { encoding: 'utf8' });
      expect(details).toMatch(/-rwsr-xr-x 3000000\/0 +4 2023-11-14/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test('has no pax header where ustar says all', async () => {
    const bytes = await tarOf(dir('a'), file('a/b', 'x'), symlink('a/c', 'b'));
    expect(bytes.length).toBe(512 * (1 + 2 + 1 + 2));
    expect(bytes.includes('PaxHeader')).toBe(false);
  });

  test('tar-stream reads the same names, sizes and contents', async () => {
    const bytes = await tarOf(dir('a'), file('a/f', 'hello'), file(`a/${'n'.repeat(200)}`, 'long'));
    const found: string[] = [];
    const reader = extract();
    reader.end(bytes);
    for await (const entry of reader) {
      const body = await readAll(entry as AsyncIterable<Uint8Array>, 100);
      found.push(`${entry.header.type} ${entry.header.name} ${body.toString()}`);
    }
    expect(found).toEqual(['directory a/ ', 'file a/f hello', `file a/${'n'.repeat(200)} long`]);
  });

  test('tells where each content begins', async () => {
    const offsets: Record<string, number> = {};
    const entries = streamOfEntries(dir('a'), file('a/x', 'first'), file('é', 'second', { mtime: 5n }));
    const bytes = await readAll(
      writeTar(entries, { onEntry: ({ path }, offset) => (offsets[path] = offset) }),
      1e6,
    );
    expect(bytes.toString('utf8', offsets['a/x'], (offsets['a/x'] ?? 0) + 5)).toBe('first');
    expect(bytes.toString('utf8', offsets['é'], (offsets['é'] ?? 0) + 6)).toBe('second');
    const again: Record<string, number> = {};
    const onEntry = ({ path }: Entry, offset: number): void => void (again[path] = offset);
    await outline(readTar(streamOf(bytes), { whiteouts: true, onEntry }));
    expect(again).toEqual(offsets);
  });

  test('reads every time back that a file system can have', async () => {
    const times = [-3_600_000_000_000n, 0n, 15_032_385_535_000_000_001n];
    const bytes = await tarOf(...times.map((mtime, index) => file(`f${index}`, '', { mtime })));
    const read = await described(readTar(streamOf(bytes), { whiteouts: true }));
    expect(read.map(({ mtime }) => mtime)).toEqual(times);
  });

  test('clamps later times and leaves earlier ones', async () => {
    const entries = streamOfEntries(file('early', '', { mtime: 5n }), file('late', '', { mtime: 2n ** 60n }));
    const bytes = await readAll(writeTar(entries, { clampMtime: 1_000_000_000n }), 1e6);
    const times = (await described(readTar(streamOf(bytes), { whiteouts: true }))).map(({ mtime }) => mtime);
    expect(times).toEqual([5n, 1_000_000_000n]);
  });

  test('refuses content of another size than announced', async () => {
    await expect(tarOf(file('f', 'abc', { size: 2 }))).rejects.toThrow('announced');
    await expect(tarOf(file('f', 'abc', { size: 4 }))).rejects.toThrow('announced');
  });
});

describe('readTar', () => {
  const name = fc
    .array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.map((part) => `n${part.replaceAll(/[/\0]/g, '_')}`).join('/'));
  const entry: fc.Arbitrary<Entry> = fc
    .record({
      path: name,
      type: fc.constantFrom('file', 'directory', 'symlink', 'hardlink', 'char', 'fifo', 'whiteout', 'opaque'),
      mode: fc.integer({ min: 0, max: 0o7777 }),
      uid: fc.integer({ min: 0, max: 0xffff_fffe }),
      gid: fc.integer({ min: 0, max: 0xffff_fffe }),
      mtime: fc.bigInt({ min: -(2n ** 61n), max: 2n ** 61n }),
      text: fc.string({ maxLength: 2000 }),
      target: name,
      xattrs: fc.option(
        fc.dictionary(fc.stringMatching(/^user\.[a-z_]{1,20}$/), fc.uint8Array({ maxLength: 40 }), {
          minKeys: 1,
        }),
      ),
      device: fc.integer({ min: 1, max: 0o777777 }),
    })
    .map(({ path, type, text, target, xattrs, device, ...rest }): Entry => {
      if (type === 'whiteout') return { ...whiteout(path), mtime: 0n };
      if (type === 'opaque') return opaque(path);
      const attributes = xattrs === null ? {} : { xattrs: { ...xattrs } };
      const base = { ...rest, ...attributes, path, size: 0 };
      if (type === 'file') return { ...file(path, text), ...rest, ...attributes };
      if (type === 'symlink') return { ...base, type, mode: 0o777, linkTarget: target };
      if (type === 'hardlink') return { ...base, type, linkTarget: `${target}x` };
      if (type === 'char') return { ...base, type, devMajor: device, devMinor: 7 };
      return { ...base, type };
    });

  test('gives back what writeTar was given', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(entry, { maxLength: 8 }),
        fc.integer({ min: 1, max: 3000 }),
        async (entries, size) => {
          const bytes = await tarOf(...entries);
          const read = await described(readTar(chunked(bytes, size), { whiteouts: true }));
          const given = await described(streamOfEntries(...entries));
          const plain = (list: readonly Record<string, unknown>[]): unknown =>
            list.map((item) => ({
              ...item,
              xattrs: Object.entries(item['xattrs'] ?? {})
                .map(([k, v]) => [k, Buffer.from(v as Uint8Array).toString('hex')])
                .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
            }));
          expect(plain(read)).toEqual(plain(given));
        },
      ),
      { numRuns: 150 },
    );
  });

  test('keeps binary attributes', async () => {
    const bytes = await tarOf(file('newuidmap', 'x', { xattrs: { 'security.capability': capability } }));
    const [read] = await described(readTar(streamOf(bytes), { whiteouts: true }));
    const xattrs = (read?.['xattrs'] ?? {}) as Record<string, Uint8Array>;
    expect(Buffer.from(xattrs['security.capability'] ?? [])).toEqual(capability);
  });

  test('reads what tar-stream writes, with GNU-style ids and long names', async () => {
    const writer = pack();
    const path = `${'p/'.repeat(90)}end`;
    writer.entry({ name: path, mtime: new Date(1_000_000), mode: 0o600, pax: { mtime: '1.5' } }, 'body');
    writer.finalize();
    const [read] = await described(readTar(writer as AsyncIterable<Uint8Array>, { whiteouts: false }));
    expect(read).toMatchObject({ path, text: 'body', mtime: 1_500_000_000n, mode: 0o600 });
  });

  test('skips content that nobody reads, and refuses content opened too late', async () => {
    const bytes = await tarOf(file('a', 'x'.repeat(1000)), file('b', 'y'));
    const entries: Entry[] = [];
    for await (const item of readTar(chunked(bytes, 100), { whiteouts: true })) {
      if (item.path === 'b') expect(await textOf(item.content?.())).toBe('y');
      entries.push(item);
    }
    await expect(textOf(entries[0]?.content?.())).rejects.toThrow('before the next entry');
  });

  test('strips leading slashes and dots, takes ./ for the root, which counts for nothing in a layer, and follows Go in what has a body', async () => {
    const bytes = rawTar(
      { name: './', typeflag: '5' },
      { name: '/etc//./passwd', body: 'x' },
      { name: 'old/', typeflag: '\0' },
      { name: 'link', typeflag: '1', linkname: '/etc/passwd', size: 512 },
      { name: 'after', body: 'z' },
    );
    const others = ['file etc/passwd', 'directory old', 'hardlink link -> etc/passwd', 'file after'];
    expect(await outline(readTar(streamOf(bytes), { whiteouts: false }))).toEqual(['directory ', ...others]);
    expect(await outline(readTar(streamOf(bytes), { whiteouts: true }))).toEqual(others);
    await expect(outline(readTar(streamOf(bytes), { whiteouts: true, absolute: 'refuse' }))).rejects.toThrow(
      'absolute',
    );
  });

  test('takes whiteouts for names where they are none', async () => {
    const bytes = rawTar(
      { name: 'a/.wh.b' },
      { name: 'a/.wh..wh..opq' },
      { name: '.wh..wh.plnk', typeflag: '5' },
    );
    expect(await outline(readTar(streamOf(bytes), { whiteouts: true }))).toEqual([
      'whiteout a/b',
      'opaque a',
    ]);
    expect(await outline(readTar(streamOf(bytes), { whiteouts: false }))).toEqual([
      'file a/.wh.b',
      'file a/.wh..wh..opq',
      'directory .wh..wh.plnk',
    ]);
  });

  test('takes a 0/0 device of a layer for the whiteout that it would become', async () => {
    const bytes = rawTar({ name: 'x', typeflag: '3' }, { name: 'null', typeflag: '3', devMajor: 1 });
    expect(await outline(readTar(streamOf(bytes), { whiteouts: true }))).toEqual(['whiteout x', 'char null']);
  });

  test('reads its source to the end, past the end of the archive', async () => {
    let ended = false;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield rawTar({ name: 'a' });
      yield Buffer.alloc(9000);
      ended = true;
    };
    await outline(readTar(source(), { whiteouts: true }));
    expect(ended).toBe(true);
  });

  test('frees its source when the consumer stops', async () => {
    let freed = false;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield memberBlocks({ name: 'a' });
      } finally {
        freed = true;
      }
    };
    for await (const item of readTar(source(), { whiteouts: true })) if (item.path === 'a') break;
    expect(freed).toBe(true);
  });

  const invalid = { code: 'IMAGE_INVALID' };
  const reading = (bytes: Uint8Array, options: Partial<ReadTarOptions> = {}): Promise<unknown> =>
    outline(readTar(streamOf(bytes), { whiteouts: true, ...options }));

  test.each([
    ['.. in a name', rawTar({ name: 'a/../../etc/passwd' })],
    ['.. from a pax override of a harmless name', rawTar({ name: 'ok', pax: { path: '../evil' } })],
    [
      '.. in a GNU long name',
      Buffer.concat([memberBlocks({ name: 'L', typeflag: 'L', body: '../evil\0' }), rawTar({ name: 'ok' })]),
    ],
    ['.. in a hard link', rawTar({ name: 'l', typeflag: '1', linkname: '../../etc/shadow' })],
    [
      '.. in a hard link by pax',
      rawTar({ name: 'l', typeflag: '1', linkname: 'ok', pax: { linkpath: '../x' } }),
    ],
    ['NUL by pax', rawTar({ name: 'ok', pax: { path: 'a\0b' } })],
    ['a name that is not UTF-8', rawTar({ name: 'ok', pax: { path: Buffer.from([0x61, 0xff]) } })],
    ['a link as the root', rawTar({ name: '.', typeflag: '2', linkname: '/etc' })],
    ['a file as the root', rawTar({ name: '/', body: 'x' })],
    ['a symlink to nothing', rawTar({ name: 'l', typeflag: '2' })],
    ['a GNU sparse file', rawTar({ name: 's', typeflag: 'S' })],
    ['a pax sparse file', rawTar({ name: 's', pax: { 'GNU.sparse.major': '1' } })],
    ['an unknown type', rawTar({ name: 'v', typeflag: 'V' })],
    ['a whiteout of ..', rawTar({ name: 'a/.wh...' })],
    ['a whiteout of the directory itself', rawTar({ name: 'a/.wh..' })],
    ['a whiteout without a name', rawTar({ name: 'a/.wh.' })],
    ['an entry below a whiteout', rawTar({ name: '.wh.a/b' })],
    ['an extended header above the limit', rawTar({ name: 'p', typeflag: 'x', size: 2 ** 30 })],
    ['a pax size that is no number', rawTar({ name: 'f', pax: { size: '1e3' } })],
    ['an owner that chown would ignore', rawTar({ name: 'f', pax: { uid: '4294967295' } })],
    ['a time out of range', rawTar({ name: 'f', pax: { mtime: '999999999999' } })],
    ['a malformed pax record', rawTar({ name: 'p', typeflag: 'x', body: '99 a=b\n' }, { name: 'f' })],
    ['a negative pax length', rawTar({ name: 'p', typeflag: 'x', body: '-5 a=b\n' }, { name: 'f' })],
    ['an end inside a file', rawTar({ name: 'f', body: 'x'.repeat(600) }).subarray(0, 1000)],
    ['an end after a pax header', rawTar({ name: 'p', typeflag: 'x', body: '6 a=b\n' })],
    ['more after the end', Buffer.concat([Buffer.alloc(512), rawTar({ name: 'hidden' })])],
    ['a wrong checksum', Buffer.concat([Buffer.from('x'), rawTar({ name: 'f' }).subarray(1)])],
    ['a path above the kernel limit', rawTar({ name: 'f', pax: { path: 'ab/'.repeat(1400) } })],
  ])('refuses %s', async (_, bytes) => {
    await expect(reading(bytes)).rejects.toMatchObject(invalid);
  });

  test('keeps its limits', async () => {
    const many = rawTar(...Array.from({ length: 20 }, (_, at) => ({ name: `f${at}` })));
    await expect(reading(many, { limits: { entries: 19 } })).rejects.toMatchObject(invalid);
    await expect(reading(many, { limits: { entries: 20 } })).resolves.toHaveLength(20);
    await expect(reading(many, { limits: { totalBytes: 5000 } })).rejects.toMatchObject(invalid);
    const deep = rawTar({ name: 'ok', pax: { path: 'a/'.repeat(30) } });
    await expect(reading(deep, { limits: { depth: 29 } })).rejects.toMatchObject(invalid);
    await expect(reading(deep, { limits: { depth: 30 } })).resolves.toHaveLength(1);
    const pax = rawTar({ name: 'f', pax: { comment: 'x'.repeat(100) } });
    await expect(reading(pax, { limits: { headerBytes: 100 } })).rejects.toMatchObject(invalid);
  });

  test('never crashes on damaged archives', async () => {
    const good = await tarOf(
      dir('a'),
      file('a/b', 'hello', { mtime: 3n }),
      symlink('l', 'a'),
      hardlink('h', 'a/b'),
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 0, max: 255 }), async (at, byte) => {
        const bytes = Buffer.from(good);
        bytes[at] = byte;
        await reading(bytes).catch((error: unknown) => expect(error).toMatchObject(invalid));
      }),
      { numRuns: 300 },
    );
  });
});
