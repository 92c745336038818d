import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseModeChange } from '../../src/image/copy-mode.ts';
import { parseIgnorePattern, patternList } from '../../src/util/pattern-list.ts';
import type { ProjectFile } from './built.ts';
import { makeProject, putFiles } from './built.ts';
import { faultsOf, lowerText } from './lowered.ts';

type Files = Readonly<Record<string, ProjectFile>>;

/** What instructions make of a context: of each its own image, from scratch. */
async function each(
  files: Files,
  ...instructions: readonly string[]
): Promise<readonly (readonly string[])[]> {
  await using project = await makeProject(files);
  const results: (readonly string[])[] = [];
  for (const text of instructions) results.push((await project.build(`FROM scratch\n${text}\n`)).lines);
  return results;
}

const one = async (files: Files, text: string): Promise<readonly string[]> =>
  (await each(files, text))[0] ?? [];

async function refused(files: Files, text: string): Promise<string> {
  await using project = await makeProject(files);
  return await project.fails(`FROM scratch\n${text}\n`);
}

describe('L-COPY-2: flags', () => {
  test.each([
    'COPY --from=s',
    'COPY --chown=1:2',
    'COPY --chmod=644',
    'COPY --link',
    'COPY --link=false',
    'COPY --exclude=a --exclude=b',
    'COPY --parents',
    'COPY --parents=true',
    'ADD --chown=1:2',
    'ADD --chmod=644',
    'ADD --link',
    'ADD --exclude=a --exclude=b',
    'ADD --keep-git-dir',
    'ADD --keep-git-dir=false',
    'ADD --unpack=true',
    'ADD --unpack',
    'COPY --chown=1 --chmod=u+x --link --exclude=x --parents --from=s',
  ])('%s', async (text) => {
    const { definition } = await lowerText(`FROM scratch AS s\nFROM scratch\n${text} x /y`);
    expect(definition.vertices.at(-1)?.op.kind).toBe('copy');
  });

  test('ADD --checksum', async () => {
    const text = `FROM scratch\nADD --checksum=sha256:${'0'.repeat(64)} http://localhost/x /y`;
    expect((await lowerText(text)).definition.vertices[0]?.op).toMatchObject({ kind: 'http' });
  });

  test.each([
    ['ADD --from=s a b', /ADD has no flag `--from`/],
    ['ADD --parents a b', /--parents/],
    ['COPY --checksum=sha256:00 a b', /--checksum/],
    ['COPY --keep-git-dir a b', /--keep-git-dir/],
    ['COPY --unpack a b', /--unpack/],
    ['COPY --Link a b', /--Link.*did you mean `--link`|--Link/],
    ['COPY --chwon=1 a b', /--chwon.*did you mean `--chown`/],
  ])('%s is unknown', async (text, message) => {
    const faults = await faultsOf(`FROM scratch\n${text}`);
    expect(faults).toEqual([expect.stringMatching(/^DOCKERFILE_UNKNOWN_FLAG 2:\d+ /)]);
    expect(faults[0]).toMatch(message);
  });

  test.each([
    ['COPY --link=maybe a b'],
    ['COPY --parents=2 a b'],
    ['ADD --unpack=yes a b'],
    ['COPY --from a b'],
    ['COPY --chown a b'],
    ['COPY --exclude a b'],
    ['COPY --chmod=644 --chmod=755 a b'],
    ['COPY --link --link a b'],
  ])('%s has a value that it cannot have', async (text) => {
    expect(await faultsOf(`FROM scratch\n${text}`)).toEqual([
      expect.stringMatching(/^DOCKERFILE_\w+ 2:\d+ /),
    ]);
  });

  test('values are expanded but for --from; an empty one is none', async () => {
    const text =
      'ARG W=7 M=700 N=f\nCOPY --chown=$W:${W} --chmod=$M --exclude=${N} d /o/\nCOPY --chown=$NONE --chmod=$NONE d/g /p';
    expect(await one({ 'd/f': '', 'd/g': 'G' }, text)).toEqual([
      'd 700 7:7 /o',
      'f 700 7:7 /o/g=G',
      'f 644 0:0 /p=G',
    ]);
  });
});

describe('L-COPY-12: --chown', () => {
  const files = {
    f: 'F',
    'base/etc/passwd':
      'root:x:0:0::/root:/bin/sh\n#app:x:9:9::/:\nbroken\napp:x:1000:1001::/home/app:/bin/sh\napp:x:5:5::/:\nhuge:x:4294967296:0::/:\n77:x:88:88::/:\n',
    'base/etc/group': 'root:x:0:\nweb:x:50:app\nhuge:x:99999999999:\n',
    'd/l': { link: 'x' },
    'd/s/x': '',
  };
  const onBase = (text: string): string => `COPY base /\n${text}`;

  test.each([
    ['app', '1000:1001'],
    ['app:web', '1000:50'],
    ['app:9', '1000:9'],
    ['7', '7:7'],
    ['7:8', '7:8'],
    ['7:web', '7:50'],
    ['root', '0:0'],
    ['0:app', undefined],
    ['007', '7:7'],
    ['2147483647:2147483647', '2147483647:2147483647'],
    ['77', '77:77'],
  ])('%s', async (chown, owner) => {
    const text = onBase(`COPY --chown=${chown} f /f`);
    if (owner === undefined) expect(await refused(files, text)).toContain('USER_UNKNOWN');
    else expect(await one(files, text)).toContain(`f 644 ${owner} /f=F`);
  });

  test('it is for everything: directories, links, made parents, files of stages', async () => {
    const lines = await one(files, 'COPY --chown=3:4 d /n/o\nCOPY --chown=5 <<EOF /h/\nEOF');
    expect(lines).toEqual([
      'd 755 5:5 /h',
      'f 644 5:5 /h/EOF=',
      'd 755 3:4 /n',
      'd 755 3:4 /n/o',
      's 3:4 /n/o/l -> x',
      'd 755 3:4 /n/o/s',
      'f 644 3:4 /n/o/s/x=',
    ]);
    await using project = await makeProject(files);
    const text =
      'FROM scratch AS s\nCOPY --chown=8 d /d\nFROM scratch\nCOPY base /\nCOPY --from=s --chown=app /d/s /o\n';
    expect((await project.build(text)).lines).toContain('f 644 1000:1001 /o/x=');
  });

  test('names are those of the destination, by way of links inside it', async () => {
    await using project = await makeProject({
      ...files,
      'linked/etc': { link: '/real/../real' },
      'linked/real/passwd': 'app:x:6:7::/:\n',
    });
    putFiles(`${project.path}/..`, { passwd: 'app:x:1:1::/:' });
    const { lines } = await project.build(
      'FROM scratch AS s\nCOPY base /\nFROM scratch\nCOPY linked /\nCOPY --from=s --chown=app /etc/group /g\n',
    );
    expect(lines).toContain('f 644 6:7 /g=root:x:0:\nweb:x:50:app\nhuge:x:99999999999:\n');
  });

  test.each([
    ['app:', '`app:` names no group'],
    [':web', '`:web` names no user'],
    [':', 'names no user'],
    ['-1', 'is no user or group number'],
    ['4294967296', 'is no user or group number'],
    ['2147483648', 'is no user or group number'],
    ['7:99999999999', 'is no user or group number'],
    ['huge', 'there is no user `huge`'],
    ['app:huge', 'there is no group `huge`'],
    ['a:b:c', 'there is no user `a`'],
  ])('%s is refused', async (chown, message) => {
    const error = await refused(files, onBase(`COPY --chown=${chown} f /f`));
    expect(error).toMatch(/^USER_UNKNOWN 3:1 /);
    expect(error).toContain(message);
  });

  test('passwd is a regular file of at most 10 MiB (S-P-5)', async () => {
    const large = { f: '', 'b/etc/passwd': { content: Buffer.alloc(10 * 1024 * 1024 + 1, 0x0a) } };
    expect(await refused(large, 'COPY b /\nCOPY --chown=app f /f')).toMatch(
      /^IMAGE_INVALID 3:1 .*larger than 10 MiB/,
    );
    const directory = { f: '', 'b/etc/passwd/x': '' };
    expect(await refused(directory, 'COPY b /\nCOPY --chown=app f /f')).toMatch(
      /^IMAGE_INVALID 3:1 .*no regular file but a directory/,
    );
    // Numbers need no file.
    expect(await one(directory, 'COPY b /\nCOPY --chown=5 f /f')).toContain('f 644 5:5 /f=');
  });

  test('with --link there is no destination to look into', async () => {
    expect(await refused(files, onBase('COPY --link --chown=app f /f'))).toMatchInlineSnapshot(
      `"USER_UNKNOWN 3:1 \`--chown=app\` cannot be looked up: --link does not see the image | give the owner as numbers, or leave --link away"`,
    );
    expect(await one(files, onBase('COPY --link --chown=5:6 f /f'))).toContain('f 644 5:6 /f=F');
  });
});

describe('Z-1: an owner that is not in passwd or group', () => {
  test('is an error, not root', async () => {
    const files = { f: '', 'base/etc/passwd': 'root:x:0:0::/:\n' };
    expect(await refused(files, 'COPY base /\nCOPY --chown=nosuchuser f /f')).toMatchInlineSnapshot(
      `"USER_UNKNOWN 3:1 there is no user \`nosuchuser\` in /etc/passwd of the image | create it in a step before (useradd), or give its number"`,
    );
    expect(await refused(files, 'COPY base /\nADD --chown=root:nosuchgroup f /f')).toMatchInlineSnapshot(
      `"USER_UNKNOWN 3:1 there is no group \`nosuchgroup\` in /etc/group of the image | create it in a step before (groupadd), or give its number"`,
    );
    expect(await refused(files, 'COPY --chown=root f /f')).toMatch(
      /^USER_UNKNOWN 2:1 there is no user `root`/,
    );
  });
});

const chmodRows = readFileSync(new URL('../../golden/chmod.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((row, index) => index > 0 && row !== '')
  .map((row) => row.split(' | ') as [string, string, string, string]);

/** What the list says, bit by bit: the rules of chmod(1) of BSD once more, for one character after the other. */
function slowChmod(list: string, before: number, isDirectory: boolean): number {
  const bits = new Set<string>();
  const names = ['ur', 'uw', 'ux', 'gr', 'gw', 'gx', 'or', 'ow', 'ox'];
  for (const [index, name] of names.entries()) if ((before & (0o400 >> index)) !== 0) bits.add(name);
  if ((before & 0o4000) !== 0) bits.add('us');
  if ((before & 0o2000) !== 0) bits.add('gs');
  if ((before & 0o1000) !== 0) bits.add('t');
  const anyX = isDirectory || (before & 0o111) !== 0;
  for (const clause of list.split(',')) {
    const [, who = ''] = /^([ugoa]*)/.exec(clause) ?? [];
    const classes =
      who === '' || who.includes('a') ? ['u', 'g', 'o'] : ['u', 'g', 'o'].filter((c) => who.includes(c));
    for (const [, operator, letters = ''] of clause
      .slice(who.length)
      .matchAll(/([-+=])([rwxXst]+|[ugo]|)/g)) {
      const wanted = new Set<string>();
      const copied = /^[ugo]$/.test(letters) ? letters : undefined;
      for (const c of classes) {
        for (const letter of letters) {
          if ('rwx'.includes(letter)) wanted.add(c + letter);
          if (letter === 'X' && anyX) wanted.add(`${c}x`);
          if (letter === 's' && c !== 'o') wanted.add(`${c}s`);
          if (letter === 't' && c !== 'o') wanted.add('t');
          if (copied !== undefined) for (const p of 'rwx') if (bits.has(copied + p)) wanted.add(c + p);
        }
      }
      if (operator === '=') {
        for (const c of classes) {
          for (const p of copied === undefined ? 'rwxs' : 'rwx') bits.delete(c + p);
        }
        if (letters.includes('t') && classes.some((c) => c !== 'o')) bits.delete('t');
      }
      for (const name of wanted) {
        if (operator === '-') bits.delete(name);
        else bits.add(name);
      }
    }
  }
  let mode = bits.has('us') ? 0o4000 : 0;
  if (bits.has('gs')) mode |= 0o2000;
  if (bits.has('t')) mode |= 0o1000;
  for (const [index, name] of names.entries()) if (bits.has(name)) mode |= 0o400 >> index;
  return mode;
}

describe('L-COPY-13: --chmod', () => {
  const files = {
    'd/f': { content: 'F', mode: 0o640 },
    'd/x': { content: 'X', mode: 0o755 },
    'd/s/': { mode: 0o700 },
    'd/l': { link: 'f' },
  };

  test('octal is for files and directories, not for links', async () => {
    const [three, four, one_, zero] = await each(
      files,
      'COPY --chmod=750 d /o',
      'COPY --chmod=07750 d /o',
      'COPY --chmod=1 d /o',
      'COPY --chmod=0 d/f /f',
    );
    expect(three).toEqual([
      'd 750 0:0 /o',
      'f 750 0:0 /o/f=F',
      's 0:0 /o/l -> f',
      'd 750 0:0 /o/s',
      'f 750 0:0 /o/x=X',
    ]);
    expect(four?.slice(1)).toEqual([
      'f 7750 0:0 /o/f=F',
      's 0:0 /o/l -> f',
      'd 7750 0:0 /o/s',
      'f 7750 0:0 /o/x=X',
    ]);
    expect(one_).toContain('f 001 0:0 /o/f=F');
    expect(zero).toEqual(['f 000 0:0 /f=F']);
  });

  test('a list changes what is there; a destination that nobody names is 0755', async () => {
    expect(await one(files, 'COPY --chmod=u=rwX,go=rX d /o')).toEqual([
      'd 755 0:0 /o',
      'f 644 0:0 /o/f=F',
      's 0:0 /o/l -> f',
      'd 755 0:0 /o/s',
      'f 755 0:0 /o/x=X',
    ]);
    expect(await one(files, 'COPY --chmod=+x,g=u,o-r <<EOF d/f /o/\nEOF')).toEqual([
      'd 755 0:0 /o',
      'f 771 0:0 /o/EOF=',
      'f 771 0:0 /o/f=F',
    ]);
  });

  test('the umask of the builder does not count', async () => {
    const before = process.umask(0o077);
    try {
      expect((await one({ f: '' }, 'COPY --chmod=+rw f /o/f')).at(-1)).toBe('f 666 0:0 /o/f=');
      expect((await one({ f: '' }, 'COPY f /o/f'))[0]).toBe('d 755 0:0 /o');
    } finally {
      process.umask(before);
    }
  });

  test.each(chmodRows)('%s: %s %s is %s', (list, type, before, after) => {
    const mode = parseModeChange(list)(Number.parseInt(before, 8), type === 'directory');
    expect(mode.toString(8).padStart(4, '0')).toBe(after);
  });

  test('lists agree with a slow reading of them', () => {
    const who = fc.string({ unit: fc.constantFrom('u', 'g', 'o', 'a'), maxLength: 3 });
    const letters = fc.oneof(
      fc.string({ unit: fc.constantFrom('r', 'w', 'x', 'X', 's'), maxLength: 3 }),
      fc.constantFrom('u', 'g', 'o', 't'),
    );
    const action = fc.tuple(fc.constantFrom('+', '-', '='), letters).map((parts) => parts.join(''));
    const clause = fc
      .tuple(who, fc.array(action, { minLength: 1, maxLength: 3 }))
      .map(([w, a]) => w + a.join(''));
    const list = fc.array(clause, { minLength: 1, maxLength: 3 }).map((clauses) => clauses.join(','));
    fc.assert(
      fc.property(list, fc.integer({ min: 0, max: 0o7777 }), fc.boolean(), (text, mode, isDirectory) => {
        expect(parseModeChange(text)(mode, isDirectory).toString(8)).toBe(
          slowChmod(text, mode, isDirectory).toString(8),
        );
      }),
      { numRuns: 5000 },
    );
  });

  test.each(['10000', '888', '0o755', '0x1', 'rwx', 'u', 'u+q', '+x,', ',', '755,u+x', 'U+x', '-1', 'u~x'])(
    '%s is refused',
    async (mode) => {
      expect(await faultsOf(`FROM scratch\nCOPY --chmod=${mode} a b`)).toEqual([
        `DOCKERFILE_BAD_ARGUMENT 2:14 \`${mode}\` is no mode | write it in octal like 0755, or like u=rwX,go=rX`,
      ]);
    },
  );

  test('an operator without letters says nothing, or clears', async () => {
    const [nothing, cleared] = await each(files, 'COPY --chmod=u+,+- d/f /f', 'COPY --chmod=u=,g-r+= d/f /f');
    expect(nothing).toEqual(['f 640 0:0 /f=F']);
    expect(cleared).toEqual(['f 000 0:0 /f=F']);
  });
});

describe('L-COPY-14: --link', () => {
  const files = {
    'base/real/x': 'X',
    'base/real/': { mode: 0o700 },
    'base/l': { link: 'real' },
    'base/file': '',
    f: 'F',
    'd/g': 'G',
    'd/sub/': { mode: 0o711 },
  };

  test('the state before is not looked at: links are not followed, parents are plain directories', async () => {
    await using project = await makeProject(files);
    const { lines, layers } = await project.build(
      'FROM scratch\nCOPY --chown=5 base /\nCOPY --link f /l/f\nCOPY --link=true f /real/y\nCOPY --link d /file/\n',
    );
    expect(lines).toEqual([
      'd 755 0:0 /file',
      'f 644 0:0 /file/g=G',
      'd 711 0:0 /file/sub',
      'd 755 0:0 /l',
      'f 644 0:0 /l/f=F',
      // Made anew: the mode and the owner that it had are overridden.
      'd 755 0:0 /real',
      'f 644 5:5 /real/x=X',
      'f 644 0:0 /real/y=F',
    ]);
    expect(layers).toHaveLength(4);
    // The same without --link.
    const { lines: followed } = await project.build(
      'FROM scratch\nCOPY --chown=5 base /\nCOPY --link=false f /l/f\n',
    );
    expect(followed).toContain('s 5:5 /l -> real');
    expect(followed).toContain('f 644 0:0 /real/f=F');
    expect(followed).toContain('d 700 5:5 /real');
  });

  test('its layer is the same on any base', async () => {
    await using project = await makeProject(files);
    const build = (text: string) => project.build(`FROM scratch\n${text}\nCOPY --link --chown=1:2 d f /o/\n`);
    const [first, second] = [await build('COPY base /'), await build('COPY f /o/f\nWORKDIR /o/sub')];
    expect(second.layers.at(-1)?.map(({ path, mode, uid }) => [path, mode, uid])).toEqual(
      first.layers.at(-1)?.map(({ path, mode, uid }) => [path, mode, uid]),
    );
    const { definition } = await lowerText('FROM scratch\nCOPY base /\nCOPY --link d /o/');
    expect(definition.vertices.at(-1)?.meta.name).toBe('[2/2] LINK COPY --link d /o/');
  });

  test('in the root, with --parents and in ADD', async () => {
    const tree = ['d 755 0:0 /d', 'f 644 0:0 /d/g=G', 'd 711 0:0 /d/sub', 'f 644 0:0 /f=F'];
    expect(
      await each(files, 'COPY --link --parents d f /', 'ADD --link f /\nCOPY --link --parents d /'),
    ).toEqual([tree, tree]);
  });
});

describe('Z-2: --link with --chmod', () => {
  test('is a normal copy, as Docker makes it', async () => {
    const files = { 'base/real/x': '', 'base/l': { link: 'real' }, f: 'F' };
    const { definition } = await lowerText('FROM scratch\nCOPY base /\nCOPY --link --chmod=600 f /l/f');
    expect(definition.vertices.at(-1)?.op).toMatchObject({ kind: 'copy', link: false, chmod: '600' });
    expect(definition.vertices.at(-1)?.meta.name).toBe('[2/2] COPY --link --chmod=600 f /l/f');
    const lines = await one(files, 'COPY base /\nCOPY --link --chmod=600 f /l/f');
    expect(lines).toContain('s 0:0 /l -> real');
    expect(lines).toContain('f 600 0:0 /real/f=F');
    // One that expands to nothing is none.
    const empty = await one(files, 'COPY base /\nCOPY --link --chmod=$NONE f /l/f');
    expect(empty).toContain('f 644 0:0 /l/f=F');
  });
});

describe('L-COPY-15: --parents', () => {
  const files = {
    'src/': { mode: 0o700 },
    'src/main.c': 'M',
    'src/lib/a.c': 'A',
    'src/lib/a.h': 'H',
    'src/lib/deep/b.c': 'B',
    'doc/x.txt': 'D',
    'doc/link': { link: 'x.txt' },
    dl: { link: 'doc' },
    top: 'T',
  };
  const found = (lines: readonly string[] | undefined): string =>
    (lines ?? [])
      .filter((line) => /^[fs]/.test(line))
      .map((line) => line.replace(/^[^/]*|=.*$| ->.*$/g, ''))
      .join(' ');

  test('the path is kept, directories with their modes and times; a directory comes whole', async () => {
    await using project = await makeProject(files);
    const { lines, times } = await project.build('FROM scratch\nCOPY --parents src/lib/a.c doc top /o/\n');
    expect(lines).toEqual([
      'd 755 0:0 /o',
      'd 755 0:0 /o/doc',
      's 0:0 /o/doc/link -> x.txt',
      'f 644 0:0 /o/doc/x.txt=D',
      'd 700 0:0 /o/src',
      'd 755 0:0 /o/src/lib',
      'f 644 0:0 /o/src/lib/a.c=A',
      'f 644 0:0 /o/top=T',
    ]);
    expect(times['/o/src']).toBe('1000000000');
  });

  test('the destination is a directory, with or without a slash', async () => {
    const [slash, none, root] = await each(
      files,
      'COPY --parents top /o/',
      'COPY --parents top /o',
      'COPY --parents ./top /',
    );
    expect(slash).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/top=T']);
    expect(none).toEqual(slash);
    expect(root).toEqual(['f 644 0:0 /top=T']);
  });

  test.each([
    ['src/./lib/a.c', '/o/lib/a.c'],
    ['./src/./main.c', '/o/main.c'],
    ['/src/lib/./deep', '/o/deep/b.c'],
    ['src/.', '/o/src/lib/a.c /o/src/lib/a.h /o/src/lib/deep/b.c /o/src/main.c'],
    ['src/./.', '/o/lib/a.c /o/lib/a.h /o/lib/deep/b.c /o/main.c'],
    ['src/./lib/./a.c', '/o/lib/a.c'],
    ['s*/./lib/*.c', '/o/lib/a.c'],
    ['*/*/./*.c', '/o/a.c'],
    ['*/./*.*', '/o/main.c /o/x.txt'],
    ['**/*.c', '/o/src/lib/a.c /o/src/lib/deep/b.c /o/src/main.c'],
    ['src/./**/*.c', '/o/lib/a.c /o/lib/deep/b.c /o/main.c'],
    ['src/**/b.c', '/o/src/lib/deep/b.c'],
    ['src/**/main.c', '/o/src/main.c'],
    ['**/lib', '/o/src/lib/a.c /o/src/lib/a.h /o/src/lib/deep/b.c'],
    ['src/**', '/o/src/lib/a.c /o/src/lib/a.h /o/src/lib/deep/b.c /o/src/main.c'],
    ['**.c', '/o/src/lib/a.c /o/src/lib/deep/b.c /o/src/main.c'],
    ['s*', '/o/src/lib/a.c /o/src/lib/a.h /o/src/lib/deep/b.c /o/src/main.c'],
    ['*/[am]*', '/o/src/main.c'],
    ['../top', '/o/top'],
    ['**/none', ''],
    ['none*/x', ''],
    ['none*/./x', ''],
    ['src/./none*', ''],
    ['doc/link', '/o/doc/link'],
    ['dl/x.txt', '/o/dl/x.txt'],
    ['dl', '/o/dl'],
  ])('%s', async (source, paths) => {
    expect(found(await one(files, `COPY --parents ${source} /o/`))).toBe(paths);
  });

  test('a path without wildcards that is not there is an error, a pattern is none', async () => {
    expect(await refused(files, 'COPY --parents src/lib/none /o/')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/src/lib/none\` is not in the build context ($CONTEXT) | paths start at its root, whatever the working directory is"`,
    );
    expect(await refused(files, 'COPY --parents src/./none top /o/')).toContain(
      'COPY_SOURCE_MISSING 2:1 `/src/none`',
    );
    expect(await refused(files, 'COPY --parents none/./top /o/')).toContain(
      'COPY_SOURCE_MISSING 2:1 `/none/top`',
    );
    expect(await one(files, 'COPY --parents **/none /o/')).toEqual([]);
    expect(await refused(files, 'COPY --parents [a /o/')).toContain('COPY_INVALID 2:1 bad pattern');
  });

  test('--chown and --chmod are for the directories too; those that were there keep owner and time', async () => {
    expect(await one(files, 'COPY --parents --chown=3:4 --chmod=711 src/lib/a.c /o/')).toEqual([
      'd 711 3:4 /o',
      'd 711 3:4 /o/src',
      'd 711 3:4 /o/src/lib',
      'f 711 3:4 /o/src/lib/a.c=A',
    ]);
    await using project = await makeProject({ ...files, 'before/src/': { mode: 0o1777 } });
    const text = 'FROM scratch\nCOPY --chown=9 before /\nCOPY --parents src/main.c /\n';
    const { lines } = await project.build(text);
    expect(lines).toEqual(['d 700 9:9 /src', 'f 644 0:0 /src/main.c=M']);
  });

  test('from a stage owners are kept', async () => {
    await using project = await makeProject(files);
    const text =
      'FROM scratch AS s\nCOPY --chown=7 . /w\nFROM scratch\nCOPY --from=s --parents /w/./src/main.c /\n';
    expect((await project.build(text)).lines).toEqual(['d 700 7:7 /src', 'f 644 7:7 /src/main.c=M']);
  });
});

describe('L-COPY-16: --exclude', () => {
  const files = {
    'app/a.md': '',
    'app/b.txt': '',
    'app/docs/c.md': '',
    'app/docs/keep/d.md': '',
    'app/node_modules/x/y.js': '',
    'app/app/e.md': '',
    'app2/a.md': '',
    'h.txt': '',
    'h.md': '',
  };
  const found = (lines: readonly string[] | undefined): string =>
    (lines ?? [])
      .map((line) => line.replace(/^[^/]*|=.*$/g, ''))
      .filter((path) => path !== '/o')
      .join(' ');

  test.each([
    // Relative to the directory that is copied; what matches a directory is for all below.
    [
      '--exclude=*.md app',
      '/o/app /o/app/e.md /o/b.txt /o/docs /o/docs/c.md /o/docs/keep /o/docs/keep/d.md /o/node_modules /o/node_modules/x /o/node_modules/x/y.js',
    ],
    ['--exclude=**/*.md --exclude=node_modules app', '/o/app /o/b.txt /o/docs /o/docs/keep'],
    ['--exclude=docs --exclude=node_modules --exclude=app app', '/o/a.md /o/b.txt'],
    ['--exclude=docs/* --exclude=/node_modules/ --exclude=./app app', '/o/a.md /o/b.txt /o/docs'],
    [
      '--exclude=app/docs --exclude=node_modules --exclude=app/e.md app',
      '/o/a.md /o/app /o/b.txt /o/docs /o/docs/c.md /o/docs/keep /o/docs/keep/d.md',
    ],
    ['--exclude=* app', ''],
    ['--exclude=** app', ''],
    // `!` takes back, with the directories above; the last that matches wins.
    ['--exclude=* --exclude=!docs/keep app', '/o/docs /o/docs/keep /o/docs/keep/d.md'],
    [
      '--exclude=docs --exclude=!docs/keep --exclude=docs/keep/d.md --exclude=[an]* app',
      '/o/b.txt /o/docs /o/docs/keep',
    ],
    ['--exclude=!docs --exclude=docs --exclude=node_modules --exclude=app app', '/o/a.md /o/b.txt'],
    // Each source directory by itself.
    ['--exclude=a.md --exclude=**/*.js app2 app/app', '/o/e.md'],
    // Files and what a wildcard finds, by their own names.
    ['--exclude=*.txt h*', '/o/h.md'],
    ['--exclude=*.txt h.txt h.md', '/o/h.md'],
    ['--exclude=app2 --exclude=node_modules --exclude=docs --exclude=app app*', ''],
    ['--exclude=app2 --exclude=node_modules --exclude=docs app*', '/o/a.md /o/app /o/app/e.md /o/b.txt'],
    ['--exclude=**/b.txt app/b*', ''],
    // With --parents relative to the root, or to the pivot.
    ['--parents --exclude=*.md app2 h.md h.txt', '/o/app2 /o/app2/a.md /o/h.txt'],
    [
      '--parents --exclude=app/docs --exclude=**/node_modules --exclude=app/app app',
      '/o/app /o/app/a.md /o/app/b.txt',
    ],
    ['--parents --exclude=docs/c.md app/./docs', '/o/docs /o/docs/keep /o/docs/keep/d.md'],
    ['--parents --exclude=app/docs/c.md app/./docs', '/o/docs /o/docs/c.md /o/docs/keep /o/docs/keep/d.md'],
    [
      '--parents --exclude=**/keep **/*.md',
      '/o/app /o/app/a.md /o/app/app /o/app/app/e.md /o/app/docs /o/app/docs/c.md /o/app2 /o/app2/a.md /o/h.md',
    ],
  ])('COPY %s', async (text, paths) => {
    expect(found(await one(files, `COPY ${text} /o/`))).toBe(paths);
  });

  test('in ADD, for stages, and what is left out has no part in the cache key', async () => {
    expect(found(await one(files, 'ADD --exclude=*.md --exclude=?o* --exclude=app app /o/'))).toBe(
      '/o/b.txt',
    );
    await using project = await makeProject(files);
    const text = 'FROM scratch AS s\nCOPY app /a\nFROM scratch\nCOPY --from=s --exclude=[adn]* /a /o/\n';
    expect(found((await project.build(text)).lines)).toBe('/o/b.txt');
    const copy = 'FROM scratch\nCOPY --exclude=docs app /o/\n';
    await project.build(copy);
    putFiles(project.path, { 'app/docs/new': 'changed' });
    expect((await project.build(copy)).cached).toBe(1);
    putFiles(project.path, { 'app/new': 'changed' });
    expect((await project.build(copy)).cached).toBe(0);
  });

  test('a bad pattern is refused; one that says nothing is not', async () => {
    expect(await refused(files, 'COPY --exclude=[a app /o/')).toMatchInlineSnapshot(
      `"COPY_INVALID 2:1 bad --exclude: \`[a\` has a character class that is not closed; write \`[[]\` for a bracket"`,
    );
    expect(await one(files, 'COPY --exclude=$NONE --exclude=/ --exclude=. app2 /o/')).toContain(
      'f 644 0:0 /o/a.md=',
    );
  });

  test('the matcher is that of the ignore file', () => {
    const list = patternList(['*', '!a/**/b', 'a/x'].flatMap((text) => parseIgnorePattern(text, 0) ?? []));
    expect(['a', 'a/b', 'a/c/b', 'a/x/b', 'q'].map((path) => list.excluded(path)?.text)).toEqual([
      '*',
      undefined,
      undefined,
      'a/x',
      '*',
    ]);
  });
});
