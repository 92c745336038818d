import { describe, expect, test } from 'vitest';
import type { CopyRequest, CopySpec } from '../../src/image/copy.ts';
import { copyContentKey, copyEntries } from '../../src/image/copy.ts';
import type { Entry } from '../../src/image/entry.ts';
import type { Tree } from '../../src/image/tree.ts';
import { parseIgnore } from '../../src/source/ignore.ts';
import type { LiteralFile } from '../../src/source/literal-tree.ts';
import { literalTree } from '../../src/source/literal-tree.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { readAll } from '../../src/util/streams.ts';

type Files = Readonly<Record<string, LiteralFile | string>>;
const now = 1_700_000_000_000_000_000n;
const dir: LiteralFile = { type: 'directory' };
const link = (linkTarget: string): LiteralFile => ({ type: 'symlink', linkTarget });

interface Case extends Partial<Omit<CopySpec, 'sources'>> {
  readonly from: Files | Tree;
  readonly paths: readonly string[];
  readonly base?: Files;
  readonly keepOwners?: boolean;
}

function specOf(given: Case): CopySpec {
  const { paths, dest = '/', parents = false, exclude = [], link: isLink = false, chown, chmod } = given;
  const sources = [{ kind: 'input', input: 1, paths, extract: false } as const];
  const changes = { ...(chown === undefined ? {} : { chown }), ...(chmod === undefined ? {} : { chmod }) };
  return { sources, dest, parents, exclude, link: isLink, ...changes };
}

function treeOf(from: Files | Tree): Tree {
  return typeof from['walk'] === 'function' ? (from as unknown as Tree) : literalTree(from as Files);
}

function requestOf(given: Case): CopyRequest {
  const op = specOf(given);
  return {
    op,
    sources: op.sources.map((source) => ({
      source,
      tree: treeOf(given.from),
      keepOwners: given.keepOwners ?? false,
    })),
    base: given.base === undefined ? undefined : literalTree(given.base),
    now,
  };
}

async function collect(request: CopyRequest): Promise<Entry[]> {
  const entries = await Array.fromAsync(copyEntries(request));
  const seen = new Set<string>(['']);
  for (const { path } of entries) {
    expect(seen.has(path), `${path} comes twice`).toBe(false);
    expect(seen.has(path.split('/').slice(0, -1).join('/')), `${path} comes before its parent`).toBe(true);
    seen.add(path);
  }
  return entries;
}

/** `d 755 0:0 path`, `f 644 0:0 path=content`, `l 0:0 path -> target`, `h path => target`. */
async function lines(entries: readonly Entry[]): Promise<string[]> {
  return Promise.all(
    entries.map(async (entry) => {
      const head = `${entry.type[0]} ${entry.mode.toString(8)} ${entry.uid}:${entry.gid} ${entry.path}`;
      if (entry.linkTarget !== undefined) return `${head} -> ${entry.linkTarget}`;
      if (entry.content === undefined) return head;
      return `${head}=${(await readAll(entry.content(), 1e6)).toString()}`;
    }),
  );
}

const copy = async (given: Case): Promise<string[]> => lines(await collect(requestOf(given)));

async function failure(work: Promise<unknown>): Promise<BuildError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BuildError);
  return error as BuildError;
}

describe('destination (L-COPY-5, 6)', () => {
  const from = { 'a.txt': 'A', 'd/x': 'X', 'd/sub/y': 'Y' };

  test('a file to a name, and to a directory', async () => {
    expect(await copy({ from, paths: ['a.txt'], dest: '/b' })).toEqual(['f 644 0:0 b=A']);
    expect(await copy({ from, paths: ['a.txt'], dest: '/b/' })).toEqual([
      'd 755 0:0 b',
      'f 644 0:0 b/a.txt=A',
    ]);
    expect(await copy({ from, paths: ['a.txt'], dest: '/b', base: { b: dir } })).toEqual([
      'd 755 0:0 b',
      'f 644 0:0 b/a.txt=A',
    ]);
  });

  test('the content of a directory, not its name', async () => {
    expect(await copy({ from, paths: ['d'], dest: '/out' })).toEqual([
      'd 755 0:0 out',
      'd 755 0:0 out/sub',
      'f 644 0:0 out/sub/y=Y',
      'f 644 0:0 out/x=X',
    ]);
    expect(await copy({ from: { 'd/x': 'X' }, paths: ['d/'], dest: '/' })).toEqual(['f 644 0:0 x=X']);
  });

  test('directories of the base come with their metadata, missing ones are made', async () => {
    const base = { opt: { type: 'directory', mode: 0o2750, uid: 5, gid: 6, mtime: 77n } } as const;
    const entries = await collect(requestOf({ from, paths: ['a.txt'], dest: '/opt/new/f', base }));
    expect(await lines(entries)).toEqual(['d 2750 5:6 opt', 'd 755 0:0 opt/new', 'f 644 0:0 opt/new/f=A']);
    expect(entries.map(({ mtime }) => mtime)).toEqual([77n, now, 0n]);
  });

  test('links on the way are followed, inside the destination', async () => {
    const base = { 'usr/lib': dir, lib: link('usr/lib'), out: link('../../../../etc/x'), abs: link('/usr') };
    expect(await copy({ from, paths: ['a.txt'], dest: '/lib/', base })).toEqual([
      'd 755 0:0 usr',
      'd 755 0:0 usr/lib',
      'f 644 0:0 usr/lib/a.txt=A',
    ]);
    expect(await copy({ from, paths: ['a.txt'], dest: '/out', base })).toEqual([
      'd 755 0:0 etc',
      'f 644 0:0 etc/x=A',
    ]);
    expect((await copy({ from, paths: ['a.txt'], dest: '/abs/', base })).at(-1)).toBe(
      'f 644 0:0 usr/a.txt=A',
    );
  });

  test('--link does not look at the base: parents are plain', async () => {
    expect(await copy({ from, paths: ['a.txt'], dest: '/lib/x/', link: true })).toEqual([
      'd 755 0:0 lib',
      'd 755 0:0 lib/x',
      'f 644 0:0 lib/x/a.txt=A',
    ]);
  });

  test('`..` in a destination stops at the root', async () => {
    expect(await copy({ from, paths: ['a.txt'], dest: '/../../b' })).toEqual(['f 644 0:0 b=A']);
  });
});

describe('conflicts (L-COPY-7)', () => {
  test.each([
    [
      'a directory onto a file',
      { from: { 'd/x/y': '' }, paths: ['d'], dest: '/o', base: { 'o/x': 'f' } },
      /is no directory/,
    ],
    [
      'a directory onto a link',
      { from: { 'd/x/y': '' }, paths: ['d'], dest: '/o', base: { 'o/x': link('/z'), z: dir } },
      /is no directory but a symlink/,
    ],
    [
      'a file onto a directory',
      { from: { 'd/x': '' }, paths: ['d'], dest: '/o', base: { 'o/x/y': '' } },
      /cannot replace the directory/,
    ],
    ['below a file', { from: { a: '' }, paths: ['a'], dest: '/f/b', base: { f: '' } }, /is no directory/],
    ['many files to one', { from: { a: '', b: '' }, paths: ['*'], dest: '/f' }, /several files/],
    [
      'a directory to a file',
      { from: { 'd/x': '' }, paths: ['d'], dest: '/f', base: { f: '' } },
      /is no directory/,
    ],
  ] as const)('%s', async (_, given, message) => {
    const error = await failure(copy(given));
    expect(error.code).toBe('COPY_INVALID');
    expect(error.message).toMatch(message);
  });

  test('a file replaces a file and a link; of two with one name the last wins', async () => {
    const base = { 'o/l': link('/etc/passwd'), 'etc/passwd': 'root' };
    expect(await copy({ from: { 'd/l': 'new' }, paths: ['d'], dest: '/o', base })).toEqual([
      'd 755 0:0 o',
      'f 644 0:0 o/l=new',
    ]);
    expect(await copy({ from: { 'a/f': '1', 'b/f': '2' }, paths: ['a/f', 'b/f'], dest: '/o/' })).toEqual([
      'd 755 0:0 o',
      'f 644 0:0 o/f=2',
    ]);
  });
});

describe('sources (L-COPY-4, 8, 9)', () => {
  const from = {
    'a.txt': 'A',
    'b.txt': 'B',
    'c.md': 'C',
    '[x].txt': 'X',
    'one/f': '1',
    'two/g': '2',
    'one/in': link('f'),
    named: link('one'),
    file: link('/one/../a.txt'),
    escape: link('../../../../a.txt'),
  };
  const paths = (entries: string[]): string[] => entries.map((line) => line.split(' ')[3] ?? '');

  test('wildcards', async () => {
    expect(paths(await copy({ from, paths: ['?.txt'], dest: '/o/' }))).toEqual([
      'o',
      'o/a.txt=A',
      'o/b.txt=B',
    ]);
    expect(paths(await copy({ from, paths: ['[ab].*'], dest: '/o/' }))).toEqual([
      'o',
      'o/a.txt=A',
      'o/b.txt=B',
    ]);
    expect(paths(await copy({ from, paths: ['[[]x].txt'], dest: '/o/' }))).toEqual(['o', 'o/[x].txt=X']);
    expect(paths(await copy({ from, paths: ['o*/?'], dest: '/o' }))).toEqual(['o=1']);
    expect(
      paths(await copy({ from, paths: ['{one,two}'], dest: '/o/' }).catch(() => ['   missing'])),
    ).toEqual(['missing']);
  });

  test('a pattern that matches a directory copies what is in it', async () => {
    expect(paths(await copy({ from, paths: ['t*'], dest: '/o/' }))).toEqual(['o', 'o/g=2']);
  });

  test('a pattern that matches nothing is no error, and makes no layer content', async () => {
    expect(await copy({ from, paths: ['nothing*'], dest: '/o/' })).toEqual([]);
  });

  test('a bad pattern', async () => {
    expect((await failure(copy({ from, paths: ['[a'], dest: '/o/' }))).code).toBe('COPY_INVALID');
  });

  test('a link that is named is followed inside the source, one in a directory is copied', async () => {
    expect(await copy({ from, paths: ['named'], dest: '/o' })).toEqual([
      'd 755 0:0 o',
      'f 644 0:0 o/f=1',
      's 777 0:0 o/in -> f',
    ]);
    expect(await copy({ from, paths: ['file'], dest: '/o/' })).toEqual(['d 755 0:0 o', 'f 644 0:0 o/file=A']);
    expect(await copy({ from, paths: ['escape'], dest: '/o/' })).toEqual([
      'd 755 0:0 o',
      'f 644 0:0 o/escape=A',
    ]);
    expect(await copy({ from, paths: ['../../a.txt'], dest: '/o' })).toEqual(['f 644 0:0 o=A']);
  });

  test('a loop of links ends', async () => {
    const loop = { a: link('b'), b: link('a') };
    expect((await failure(copy({ from: loop, paths: ['a'], dest: '/o' }))).code).toBe('COPY_INVALID');
  });
});

describe('--parents and --exclude (L-COPY-15, 16)', () => {
  const from = {
    src: { type: 'directory', mode: 0o700 },
    'src/main.c': 'M',
    'src/lib/a.c': 'A',
    'src/lib/a.h': 'H',
    'src/lib/deep/b.c': 'B',
    'doc/x.txt': 'D',
  } as const;

  test('paths are kept, directories with their modes', async () => {
    expect(await copy({ from, paths: ['src/lib/a.c', 'doc'], dest: '/o/', parents: true })).toEqual([
      'd 755 0:0 o',
      'd 755 0:0 o/doc',
      'f 644 0:0 o/doc/x.txt=D',
      'd 700 0:0 o/src',
      'd 755 0:0 o/src/lib',
      'f 644 0:0 o/src/lib/a.c=A',
    ]);
  });

  test('what stands before the pivot is dropped', async () => {
    expect(await copy({ from, paths: ['src/./lib/a.c'], dest: '/o/', parents: true })).toEqual([
      'd 755 0:0 o',
      'd 755 0:0 o/lib',
      'f 644 0:0 o/lib/a.c=A',
    ]);
  });

  test('`**` is any number of directories', async () => {
    const found = await copy({ from, paths: ['**/*.c'], dest: '/', parents: true });
    expect(found.filter((line) => line.startsWith('f'))).toEqual([
      'f 644 0:0 src/lib/a.c=A',
      'f 644 0:0 src/lib/deep/b.c=B',
      'f 644 0:0 src/main.c=M',
    ]);
    expect(await copy({ from, paths: ['**/*.none'], dest: '/', parents: true })).toEqual([]);
  });

  test('a missing path is an error', async () => {
    const error = await failure(copy({ from, paths: ['src/./nope'], dest: '/', parents: true }));
    expect(error.code).toBe('COPY_SOURCE_MISSING');
    expect(error.details['path']).toBe('/src/nope');
  });

  test('exclude goes by the directory that is copied; `!` takes back with parents', async () => {
    expect(await copy({ from, paths: ['src'], dest: '/o', exclude: ['lib', '!lib/deep'] })).toEqual([
      'd 755 0:0 o',
      'd 755 0:0 o/lib',
      'd 755 0:0 o/lib/deep',
      'f 644 0:0 o/lib/deep/b.c=B',
      'f 644 0:0 o/main.c=M',
    ]);
    expect(await copy({ from, paths: ['src/lib/*'], dest: '/o/', exclude: ['*.h', 'deep'] })).toEqual([
      'd 755 0:0 o',
      'f 644 0:0 o/a.c=A',
    ]);
    expect((await failure(copy({ from, paths: ['src'], exclude: ['[x'] }))).code).toBe('COPY_INVALID');
  });
});

describe('owners and modes (L-COPY-11 to 13)', () => {
  const from = { 'd/f': { content: 'x', mode: 0o640, uid: 7, gid: 8 }, 'd/l': link('f') } as const;
  const base = { 'etc/passwd': 'app:x:1000:1001::/home/app:/bin/sh\n', 'etc/group': 'web:x:50:app\n' };

  test('context files become root, those of stages keep their owner, --chown overrides', async () => {
    expect((await copy({ from, paths: ['d/f'], dest: '/f' }))[0]).toBe('f 640 0:0 f=x');
    expect((await copy({ from, paths: ['d/f'], dest: '/f', keepOwners: true }))[0]).toBe('f 640 7:8 f=x');
    expect(await copy({ from, paths: ['d'], dest: '/n/o', chown: 'app', base, keepOwners: true })).toEqual([
      'd 755 1000:1001 n',
      'd 755 1000:1001 n/o',
      'f 640 1000:1001 n/o/f=x',
      's 777 1000:1001 n/o/l -> f',
    ]);
    expect((await copy({ from, paths: ['d/f'], dest: '/f', chown: '3', base }))[0]).toBe('f 640 3:3 f=x');
    expect((await copy({ from, paths: ['d/f'], dest: '/f', chown: 'app:web', base }))[0]).toBe(
      'f 640 1000:50 f=x',
    );
  });

  test('an unknown name is an error, and --link says why', async () => {
    expect((await failure(copy({ from, paths: ['d/f'], chown: 'nobody', base }))).code).toBe('USER_UNKNOWN');
    const error = await failure(copy({ from, paths: ['d/f'], chown: 'app', link: true }));
    expect(error.code).toBe('USER_UNKNOWN');
    expect(error.message).toContain('--link');
  });

  test('--chmod changes files and directories, not links', async () => {
    expect(await copy({ from, paths: ['d'], dest: '/o', chmod: '0750' })).toEqual([
      'd 750 0:0 o',
      'f 750 0:0 o/f=x',
      's 777 0:0 o/l -> f',
    ]);
    expect((await copy({ from, paths: ['d/f'], dest: '/f', chmod: 'u=rwX,go=rX' }))[0]).toBe('f 644 0:0 f=x');
  });
});

test('times are kept to the nanosecond, device numbers, FIFOs and xattrs too', async () => {
  const xattrs = { 'user.a': Buffer.from([0x80, 0]) };
  const from = {
    'd/f': { content: '', mtime: 1_234_567_890_123_456_789n, xattrs },
    'd/p': { type: 'fifo', mtime: 5n },
  } as const;
  const [, file, fifo] = await collect(requestOf({ from, paths: ['d'], dest: '/o' }));
  expect(file).toMatchObject({ path: 'o/f', mtime: 1_234_567_890_123_456_789n, xattrs });
  expect(fifo).toMatchObject({ type: 'fifo', mtime: 5n });
});

test('L-COPY-5: the directory that is copied to gets the time of the one that is copied, and nothing else of it', async () => {
  const from = { d: { type: 'directory', mode: 0o700, mtime: 7n }, 'd/f': '' } as const;
  const base = { o: { type: 'directory', mode: 0o711, uid: 5, mtime: 9n } } as const;
  const made = await collect(requestOf({ from, paths: ['d'], dest: '/n/o' }));
  expect(made[0]).toMatchObject({ path: 'n', mode: 0o755, mtime: now });
  expect(made[1]).toMatchObject({ path: 'n/o', mode: 0o755, mtime: 7n });
  const [known] = await collect(requestOf({ from, base, paths: ['d'], dest: '/o' }));
  expect(known).toMatchObject({ path: 'o', mode: 0o711, uid: 5, mtime: 7n });
  const [kept] = await collect(requestOf({ from, base, paths: ['d/f'], dest: '/o/' }));
  expect(kept).toMatchObject({ path: 'o', mode: 0o711, mtime: 9n });
});

test('L-COPY-6: parents that are made get the bits of an octal --chmod, and 0755 with a list of changes', async () => {
  const paths = ['f'];
  expect(await copy({ from: { f: 'x' }, paths, dest: '/n/o/', chmod: '0711' })).toEqual([
    'd 711 0:0 n',
    'd 711 0:0 n/o',
    'f 711 0:0 n/o/f=x',
  ]);
  expect(await copy({ from: { f: 'x' }, paths, dest: '/n/o/', chmod: 'u=rwx,go=' })).toEqual([
    'd 755 0:0 n',
    'd 755 0:0 n/o',
    'f 700 0:0 n/o/f=x',
  ]);
});

test('heredocs are files named after their word', async () => {
  const op: CopySpec = {
    sources: [
      { kind: 'inline', name: 'EOF', content: 'hello\n', mode: 0o644 },
      { kind: 'inline', name: 'RUN', content: '', mode: 0o644 },
    ],
    dest: '/o/',
    parents: false,
    exclude: [],
    link: false,
  };
  const sources = op.sources.map((source) => ({ source, keepOwners: true }));
  expect(await lines(await collect({ op, sources, base: undefined, now }))).toEqual([
    'd 755 0:0 o',
    'f 644 0:0 o/EOF=hello\n',
    'f 644 0:0 o/RUN=',
  ]);
});

describe('missing sources (E-4)', () => {
  test('near names', async () => {
    const error = await failure(
      copy({ from: { 'package.json': '', 'src/app.ts': '' }, paths: ['pakage.json'] }),
    );
    expect(error.code).toBe('COPY_SOURCE_MISSING');
    expect(error.hint).toBe('did you mean `package.json`?');
    const other = await failure(copy({ from: { 'src/app.ts': '' }, paths: ['app.ts'] }));
    expect(other.hint).toBe('did you mean `src/app.ts`?');
  });

  test('the ignore line', async () => {
    const tree = literalTree({ 'other/f': '' });
    const ignore = parseIgnore('# c\nsecret\n', '.dockerignore');
    const hiddenBy: Tree['hiddenBy'] = async (path) => {
      const found = ignore.excluded(path);
      return found === undefined ? undefined : { file: ignore.file, line: found.line, pattern: found.text };
    };
    const error = await failure(copy({ from: { ...tree, hiddenBy }, paths: ['secret/key'] }));
    expect(error.details).toMatchObject({
      ignoreFile: '.dockerignore',
      ignoreLine: 2,
      ignorePattern: 'secret',
    });
    expect(error.hint).toContain('line 2 of .dockerignore');
  });

  test('a path that climbs out', async () => {
    const error = await failure(copy({ from: { a: '' }, paths: ['../../zzzzzz'] }));
    expect(error.hint).toContain('`..` cannot leave');
  });
});

describe('content key (K-7)', () => {
  const key = async (given: Case): Promise<string> => copyContentKey(specOf(given), 1, treeOf(given.from));
  const plain = { from: { 'd/a': 'A', 'd/b': 'B' }, paths: ['d'] };

  test('does not know times, nor where the directory is', async () => {
    const touched = { 'd/b': { content: 'B', mtime: 9n }, 'd/a': { content: 'A', mtime: 8n } };
    expect(await key({ from: touched, paths: ['d'] })).toBe(await key(plain));
    expect(await key({ from: { 'x/y/a': 'A', 'x/y/b': 'B', z: 'other' }, paths: ['x/y'] })).toBe(
      await key(plain),
    );
  });

  test.each([
    ['content', { from: { 'd/a': 'A', 'd/b': 'C' }, paths: ['d'] }],
    ['a name', { from: { 'd/a': 'A', 'd/c': 'B' }, paths: ['d'] }],
    ['a mode', { from: { 'd/a': 'A', 'd/b': { content: 'B', mode: 0o755 } }, paths: ['d'] }],
    ['another file', { from: { 'd/a': 'A', 'd/b': 'B', 'd/c': '' }, paths: ['d'] }],
    ['an excluded file', { from: { 'd/a': 'A', 'd/b': 'B' }, paths: ['d'], exclude: ['b'] }],
    ['a link in its place', { from: { 'd/a': 'A', 'd/b': link('a') }, paths: ['d'] }],
    ['kept parents', { from: { 'd/a': 'A', 'd/b': 'B' }, paths: ['d'], parents: true }],
    ['files of the same names', { from: { 'd/a': 'A', 'd/b': 'B' }, paths: ['d/a', 'd/b'] }],
  ] as const)('changes with %s', async (_, given) => {
    expect(await key(given as Case)).not.toBe(await key(plain));
  });

  test('is pinned', async () => {
    expect(await key(plain)).toMatchInlineSnapshot(
      `"sha256:a5380e4571ba2c2905ac081040174ae15e92fff1c498c00fa6b2e53b3bc8322e"`,
    );
  });
});
