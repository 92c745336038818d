import { chmodSync, linkSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileGlob, matchGlob } from '../../src/util/glob.ts';
import type { Project, ProjectFile } from './built.ts';
import { makeProject, putFiles } from './built.ts';
import { faultsOf, imageOf } from './lowered.ts';
import { matches } from './slow-matcher.ts';

type Files = Readonly<Record<string, ProjectFile>>;

/** What instructions make of a context: of each instruction its own image, from scratch. */
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

/** What an image that has `base` fails with, when the instructions follow. */
async function refused(files: Files, text: string): Promise<string> {
  await using project = await makeProject(files);
  return await project.fails(`FROM scratch\n${text}\n`);
}

describe('L-COPY-1: forms', () => {
  test('words, JSON, and words with variables and quotes are one', async () => {
    const files = { f: 'F', 'g h': 'GH', g: 'G' };
    const [words, json, mixed] = await each(
      files,
      'COPY f /o/\nCOPY "g" "/o/x"\'y\'',
      'COPY ["f", "g h", "/o/"]',
      'ARG N=f\nCOPY ${N} $N /o/\nCOPY [ "$N", "/o/j" ]',
    );
    expect(words).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/f=F', 'f 644 0:0 /o/xy=G']);
    expect(json).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/f=F', 'f 644 0:0 /o/g h=GH']);
    expect(mixed).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/f=F', 'f 644 0:0 /o/j=F']);
  });

  test.each([
    ['COPY'],
    ['COPY f'],
    ['COPY []'],
    ['COPY ["f"]'],
    ['ADD f'],
    ['ADD ["f"]'],
    ['COPY --link'],
    ['COPY --chown=1 f'],
  ])('%s has too few words', async (text) => {
    expect(await faultsOf(`FROM scratch\n${text}`)).toEqual([
      expect.stringMatching(
        /^DOCKERFILE_SYNTAX 2:\d+ (COPY|ADD) needs at least one source and a destination/,
      ),
    ]);
  });

  test('an array with something else than texts is no JSON form', async () => {
    expect(await faultsOf('FROM scratch\nCOPY ["a", 1]')).toEqual([
      'DOCKERFILE_SYNTAX 2:6 the JSON form takes an array of strings only',
    ]);
  });

  test('an empty destination is the working directory, an empty source the whole context', async () => {
    const text = 'WORKDIR /w\nARG X\nCOPY d/f $X\nCOPY ["d/f", ""]\nCOPY "$X" /all';
    expect(await one({ 'd/f': 'F' }, text)).toEqual([
      'd 755 0:0 /all',
      'd 755 0:0 /all/d',
      'f 644 0:0 /all/d/f=F',
      'd 755 0:0 /w',
      'f 644 0:0 /w/f=F',
    ]);
  });
});

describe('L-COPY-3: --from', () => {
  const files = { Dockerfile: '', a: 'A', 'more/b': 'B' };
  const stages = 'FROM scratch AS first\nCOPY a /x\nFROM scratch AS Second\nCOPY a /y\nFROM scratch\n';

  test('a stage by name in any case or by number, a build context, the empty image', async () => {
    await using project = await makeProject(files);
    const text = `${stages}COPY --from=FIRST /x /1\nCOPY --from=1 y /2\nCOPY --from=second /y /3\nCOPY --from=ctx . /4/\nCOPY --from=scratch . /5/\n`;
    const { lines } = await project.build(text, { buildContexts: { ctx: '$CONTEXT/more' } });
    expect(lines).toEqual([
      'f 644 0:0 /1=A',
      'f 644 0:0 /2=A',
      'f 644 0:0 /3=A',
      'd 755 0:0 /4',
      'f 644 0:0 /4/b=B',
      'd 755 0:0 /5',
    ]);
  });

  test('a build context takes the place of a stage or an image', async () => {
    await using project = await makeProject(files);
    const buildContexts = { first: '$CONTEXT/more', 'docker.io/library/alpine': '$CONTEXT/more' };
    const text = `${stages}COPY --from=first . /stage/\nCOPY --from=alpine b /image\n`;
    const { lines } = await project.build(text, { buildContexts });
    expect(lines).toEqual(['f 644 0:0 /image=B', 'd 755 0:0 /stage', 'f 644 0:0 /stage/b=B']);
  });

  test('an image of the store, and one of an OCI layout', async () => {
    await using project = await makeProject(files);
    const { build, saveImage } = await import('../../src/index.ts');
    const root = `${project.path}/../store`;
    await build({
      root,
      context: project.path,
      env: {},
      dockerfile: { text: 'FROM scratch\nCOPY a /in-image' },
      tags: ['local/image:1'],
    });
    expect((await project.build('FROM scratch\nCOPY --from=local/image:1 in-image /')).lines).toEqual([
      'f 644 0:0 /in-image=A',
    ]);
    const dest = `${project.path}/../saved`;
    await build({
      root,
      context: project.path,
      env: {},
      dockerfile: { text: 'FROM scratch\nCOPY more/b /in-layout' },
      outputs: [{ type: 'oci', tar: false, dest, names: ['local/layout:2'] }],
    });
    expect(saveImage).toBeTypeOf('function');
    const buildContexts = { other: `oci-layout://${dest}`, again: 'docker-image://local/image:1' };
    const { lines } = await project.build('FROM scratch\nCOPY --from=other / /\nCOPY --from=again / /', {
      buildContexts,
    });
    expect(lines).toEqual(['f 644 0:0 /in-image=A', 'f 644 0:0 /in-layout=B']);
  });

  test('what is later, itself, a number too large or a variable is refused', async () => {
    const text = (from: string): string =>
      `FROM scratch AS one\nCOPY --from=${from} a b\nFROM scratch AS two`;
    expect(await faultsOf(text('two'), { target: 'one' })).toEqual([
      expect.stringMatching(
        /^DOCKERFILE_UNKNOWN_STAGE 2:13 the stage `two` needs to be defined before the current stage/,
      ),
    ]);
    expect(await faultsOf(text('one'), { target: 'one' })).toEqual([
      expect.stringMatching(/^DOCKERFILE_UNKNOWN_STAGE 2:\d+ .*copy from itself$/),
    ]);
    expect(await faultsOf(text('7'), { target: 'one' })).toEqual([
      expect.stringMatching(/^DOCKERFILE_UNKNOWN_STAGE 2:13 /),
    ]);
    expect(await faultsOf(text('$x'), { target: 'one' })).toEqual([
      'DOCKERFILE_SYNTAX 2:13 variables are not expanded in `--from` | add a stage `FROM <variable> AS <name>` and copy from that',
    ]);
  });

  test('any other name is an image, which is resolved', async () => {
    const asked: string[] = [];
    const bases = { 'docker.io/library/tool:3': {} };
    await imageOf('FROM scratch\nCOPY --from=tool:3 /t /t', { bases, asked });
    expect(asked).toEqual(['docker.io/library/tool:3 linux/amd64']);
    expect(await faultsOf('FROM scratch AS builder\nFROM scratch\nCOPY --from=biulder /t /t')).toEqual([
      expect.stringMatching(/^DOCKERFILE_UNKNOWN_STAGE 3:13 .*did you mean `builder` \(line 1\)\?$/),
    ]);
  });
});

describe('L-COPY-4: sources are paths below their root', () => {
  test('slashes in front, at the end and doubled, `.` and `..` say nothing', async () => {
    const files = { f: 'F', 'd/g': 'G' };
    const whole = ['f 644 0:0 /o=F'];
    const spellings = [
      '/f',
      './f',
      '../f',
      '/../../f',
      'd/../f',
      '//f',
      'f/',
      'd/.././../f/.',
      'nowhere/../f',
    ];
    expect(await each(files, ...spellings.map((text) => `COPY ${text} /o`))).toEqual(
      spellings.map(() => whole),
    );
    const directory = ['d 755 0:0 /o', 'f 644 0:0 /o/g=G'];
    const folders = ['d', 'd/', '/d//', './d/.', '../d'];
    expect(await each(files, ...folders.map((text) => `COPY ${text} /o`))).toEqual(
      folders.map(() => directory),
    );
    const roots = ['.', '/', './', '..', '../../', 'd/..'];
    const all = ['d 755 0:0 /o', 'd 755 0:0 /o/d', 'f 644 0:0 /o/d/g=G', 'f 644 0:0 /o/f=F'];
    expect(await each(files, ...roots.map((text) => `COPY ${text} /o`))).toEqual(roots.map(() => all));
  });

  test('nothing above the context can be had', async () => {
    await using project = await makeProject({ f: '' });
    putFiles(`${project.path}/..`, { secret: 'S' });
    expect(await project.fails('FROM scratch\nCOPY ../secret /')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/secret\` is not in the build context ($CONTEXT) | \`..\` cannot leave it: choose a context directory that has the file, or add one with --build-context"`,
    );
    expect(await project.fails('FROM scratch\nADD /../../secret /')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/secret\` is not in the build context ($CONTEXT) | \`..\` cannot leave it: choose a context directory that has the file, or add one with --build-context"`,
    );
  });
});

describe('L-COPY-5: where sources go', () => {
  const files = { f: 'F', g: 'G', 'd/': { mode: 0o700 }, 'd/x': { content: 'X', mode: 0o640 }, 'd/s/y': 'Y' };

  test('the content of a directory, with its modes and times; the directory gives its own time alone', async () => {
    await using project = await makeProject(files);
    const { lines, times } = await project.build('FROM scratch\nCOPY d /o\n');
    expect(lines).toEqual(['d 755 0:0 /o', 'd 755 0:0 /o/s', 'f 644 0:0 /o/s/y=Y', 'f 640 0:0 /o/x=X']);
    expect(Object.values(times)).toEqual(['1000000000', '1000000000', '1000000000', '1000000000']);
    // The same with a slash, and into the root.
    expect((await project.build('FROM scratch\nCOPY d/ /o/\n')).lines).toEqual(lines);
    expect((await project.build('FROM scratch\nCOPY d /\n')).lines).toEqual([
      'd 755 0:0 /s',
      'f 644 0:0 /s/y=Y',
      'f 640 0:0 /x=X',
    ]);
  });

  test('directories are merged, metadata of what is below too', async () => {
    const two = {
      'a/s/': { mode: 0o700 },
      'a/s/1': '1',
      'b/s/': { mode: 0o750 },
      'b/s/2': '2',
      'b/': { mode: 0o711 },
    };
    const merged = ['d 755 0:0 /o', 'd 750 0:0 /o/s', 'f 644 0:0 /o/s/1=1', 'f 644 0:0 /o/s/2=2'];
    expect(
      await each(two, 'COPY a b /o/', 'COPY a /o\nCOPY b /o', 'COPY a /o\nCOPY b/s /o/s\nCOPY b /o'),
    ).toEqual([merged, merged, merged]);
  });

  test('a file gets the name of the destination, unless that is a directory or ends in a slash', async () => {
    const inside = ['d 755 0:0 /o', 'f 644 0:0 /o/f=F'];
    const [named, slash, existing, dot, link] = await each(
      files,
      'COPY f /o',
      'COPY f /o/',
      'COPY d/s /o\nCOPY f /o',
      'COPY f /o/.',
      'COPY d/s /real\nCOPY f /real',
    );
    expect(named).toEqual(['f 644 0:0 /o=F']);
    expect(slash).toEqual(inside);
    expect(existing).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/f=F', 'f 644 0:0 /o/y=Y']);
    expect(dot).toEqual(inside);
    expect(link).toContain('f 644 0:0 /real/f=F');
  });

  test('several sources need a directory: one with a slash, or one that is there', async () => {
    const both = ['d 755 0:0 /o', 'f 644 0:0 /o/f=F', 'f 644 0:0 /o/g=G'];
    expect(await each(files, 'COPY f g /o/', 'COPY [fg] /o/', 'WORKDIR /o\nCOPY f g .')).toEqual([
      both,
      both,
      both,
    ]);
    expect(await one(files, 'COPY d /o\nCOPY f g /o')).toContain('f 644 0:0 /o/g=G');
    expect(await one(files, 'COPY d/s f /o')).toEqual([
      'd 755 0:0 /o',
      'f 644 0:0 /o/f=F',
      'f 644 0:0 /o/y=Y',
    ]);
    // A pattern that finds one file names one file.
    expect(await one(files, 'COPY [g] /o')).toEqual(['f 644 0:0 /o=G']);
    expect(await refused(files, 'COPY f g /o')).toMatchInlineSnapshot(
      `"COPY_INVALID 2:1 several files cannot be copied to the one file \`/o\` | end the destination with a slash: \`/o/\`"`,
    );
    expect(await refused(files, 'COPY [fg] /o')).toContain(
      'several files cannot be copied to the one file `/o`',
    );
    expect(await refused(files, 'COPY f d /o')).toContain('| end the destination with a slash: `/o/`');
    expect(await refused(files, 'COPY f <<EOF /o\nEOF')).toContain('several files cannot be copied');
    expect(await refused(files, 'ADD <<A <<B /o\nA\nB')).toContain('several files cannot be copied');
  });
});

describe('L-COPY-6: the destination', () => {
  const files = { f: 'F' };

  test('relative ones are below the working directory', async () => {
    const text =
      'WORKDIR /w/x\nCOPY f .\nCOPY f ..\nCOPY f ../../top\nCOPY f sub/\nCOPY f a/../b\nCOPY f ../../../../far';
    expect(await one(files, text)).toEqual([
      'f 644 0:0 /far=F',
      'f 644 0:0 /top=F',
      'd 755 0:0 /w',
      'f 644 0:0 /w/f=F',
      'd 755 0:0 /w/x',
      'f 644 0:0 /w/x/b=F',
      'f 644 0:0 /w/x/f=F',
      'd 755 0:0 /w/x/sub',
      'f 644 0:0 /w/x/sub/f=F',
    ]);
  });

  test('missing parents are made, 0755 or as an octal --chmod says, of the --chown user', async () => {
    const [plain, octal, list, owned] = await each(
      files,
      'COPY f /a/b/c',
      'COPY --chmod=2770 f /a/b/c',
      'COPY --chmod=u=rw,go= f /a/b/',
      'COPY --chown=3:4 f /a/b/c',
    );
    expect(plain).toEqual(['d 755 0:0 /a', 'd 755 0:0 /a/b', 'f 644 0:0 /a/b/c=F']);
    // Of setuid, setgid and sticky nothing: these are for what is copied.
    expect(octal).toEqual(['d 770 0:0 /a', 'd 770 0:0 /a/b', 'f 2770 0:0 /a/b/c=F']);
    expect(list).toEqual(['d 755 0:0 /a', 'd 755 0:0 /a/b', 'f 600 0:0 /a/b/f=F']);
    expect(owned).toEqual(['d 755 3:4 /a', 'd 755 3:4 /a/b', 'f 644 3:4 /a/b/c=F']);
  });

  test('existing ones keep mode, owner and time', async () => {
    await using project = await makeProject({ ...files, 'base/opt/': { mode: 0o2750 } });
    const text = 'FROM scratch\nCOPY --chown=5:6 base /\nCOPY --chown=1 --chmod=700 f /opt/new/f\n';
    const { lines, times, layers } = await project.build(text);
    expect(lines).toEqual(['d 2750 5:6 /opt', 'd 700 1:1 /opt/new', 'f 700 1:1 /opt/new/f=F']);
    expect(times['/opt']).toBe('1000000000');
    expect(layers.at(-1)?.map(({ path }) => path)).toEqual(['opt', 'opt/new', 'opt/new/f']);
  });

  test('links are followed, and stay in the image', async () => {
    const base = {
      ...files,
      'b/usr/lib/x': '',
      'b/lib': { link: 'usr/lib' },
      'b/abs': { link: '/usr/lib' },
      'b/out': { link: '../../../../etc/passwd' },
      'b/chain': { link: 'lib/../../abs' },
      'b/nowhere': { link: 'made/here' },
    };
    const text =
      'COPY b /\nCOPY f /lib/1\nCOPY f /abs/sub/\nCOPY f /out\nCOPY f /chain/3\nCOPY f /nowhere/\nCOPY f /lib/../up';
    const lines = await one(base, text);
    expect(lines.filter((line) => line.startsWith('f'))).toEqual([
      'f 644 0:0 /etc/passwd=F',
      'f 644 0:0 /made/here/f=F',
      'f 644 0:0 /up=F',
      'f 644 0:0 /usr/lib/1=F',
      'f 644 0:0 /usr/lib/3=F',
      'f 644 0:0 /usr/lib/sub/f=F',
      'f 644 0:0 /usr/lib/x=',
    ]);
    expect(lines).toContain('s 0:0 /lib -> usr/lib');
    expect(
      await refused({ ...files, 'b/a': { link: 'b' }, 'b/b': { link: 'a' } }, 'COPY b /\nCOPY f /a/x'),
    ).toMatchInlineSnapshot(`"COPY_INVALID 3:1 \`/a/x\` goes through more than 255 symbolic links"`);
  });

  test('paths that no file system could hold are refused; as deep as one can is fine', async () => {
    const deep = `/${'a/'.repeat(2000)}`;
    await using project = await makeProject(files);
    const dockerfile = `FROM scratch AS deep\nWORKDIR ${deep}\nCOPY f .\nFROM deep\nCOPY --from=deep ${deep}f /g\n`;
    expect((await project.build(dockerfile)).lines.at(-1)).toBe('f 644 0:0 /g=F');
    const long = `/${'abcdefgh/'.repeat(500)}`;
    for (const text of [`COPY f ${long}`, `WORKDIR ${long}`, `COPY f /${'n'.repeat(256)}`]) {
      expect(await project.fails(`FROM scratch\n${text}`)).toMatch(
        /^COPY_INVALID 2:1 the path .* (is longer than 4095 bytes|has a name that is longer than 255 bytes) \| no file system/,
      );
    }
  });
});

describe('L-COPY-7: conflicts', () => {
  const files = { f: 'F', 'd/x/y': 'Y', 'e/x': 'E', 'l/x': { link: '/etc' }, 'k/x': { link: 'other' } };

  test.each([
    [
      'a directory onto a file',
      'COPY e /o\nCOPY d /o',
      /3:1 cannot copy to `\/o\/x`: it is no directory but a file/,
    ],
    [
      'a directory onto a link',
      'COPY l /o\nCOPY d /o',
      /3:1 cannot copy to `\/o\/x`: it is no directory but a symlink \| it links to `\/etc`/,
    ],
    [
      'a directory to a file',
      'COPY f /o\nCOPY d /o',
      /3:1 cannot copy to `\/o`: it is no directory but a file/,
    ],
    ['below a file', 'COPY f /o\nCOPY f /o/p/q', /3:1 cannot copy to `\/o`: it is no directory but a file/],
    [
      'a file onto a directory',
      'COPY d /o\nCOPY e /o',
      /3:1 cannot replace the directory `\/o\/x` with a file/,
    ],
    [
      'a link onto a directory',
      'COPY d /o\nCOPY l /o',
      /3:1 cannot replace the directory `\/o\/x` with a file/,
    ],
    ['within one instruction', 'COPY e d /o/', /2:1 cannot copy to `\/o\/x`/],
    [
      'a file onto a directory with its name',
      'COPY d /o\nCOPY e/x /o/',
      /3:1 cannot replace the directory `\/o\/x`/,
    ],
  ])('%s is refused', async (_, text, message) => {
    expect(await refused(files, text)).toMatch(new RegExp(`^COPY_INVALID ${message.source}`));
  });

  test('files and links replace files and links', async () => {
    const [fileOnLink, linkOnFile, linkOnLink, fileOnFile] = await each(
      files,
      'COPY l /o\nCOPY e /o',
      'COPY e /o\nCOPY l /o',
      'COPY l /o\nCOPY k /o',
      'COPY e /o\nCOPY f /o/x',
    );
    expect(fileOnLink).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/x=E']);
    expect(linkOnFile).toEqual(['d 755 0:0 /o', 's 0:0 /o/x -> /etc']);
    expect(linkOnLink).toEqual(['d 755 0:0 /o', 's 0:0 /o/x -> other']);
    expect(fileOnFile).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/x=F']);
  });

  test('of two sources with one name the last one wins', async () => {
    const two = { 'a/n': '1', 'b/n': '2', 'c/n': '3' };
    const [named, wild, directories] = await each(
      two,
      'COPY b/n c/n a/n /o/',
      'COPY */n /o/',
      'COPY c a b /o/',
    );
    expect(named).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/n=1']);
    expect(wild).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/n=3']);
    expect(directories).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/n=2']);
  });
});

describe('L-COPY-8: wildcards', () => {
  const files: Files = Object.fromEntries(
    ['a.c', 'b.c', 'c.h', '.x.c', '[', 'a*b', 'a-b', 'é', 'sub/d.c', 'sub/deep/e.c', 's2/d.h'].map((name) => [
      name,
      '',
    ]),
  );

  /** Names of what a pattern finds, from one directory that nothing else is copied into. */
  async function found(...patterns: readonly string[]): Promise<readonly string[]> {
    // Words are expanded, in JSON form too: a backslash has to be two.
    const instructions = patterns.map(
      (pattern) => `COPY [${JSON.stringify(pattern.replaceAll('\\', '\\\\'))}, "/o/"]`,
    );
    return (await each(files, ...instructions)).map((lines) =>
      lines
        .filter((line) => !/ \/o$/.test(line))
        .map((line) => line.replace(/^[^/]*\/o\/|=.*$/g, ''))
        .join(' '),
    );
  }

  test.each([
    ['*.c', '.x.c a.c b.c'],
    ['?.c', 'a.c b.c'],
    ['[ac].?', 'a.c c.h'],
    ['[a-b].c', 'a.c b.c'],
    ['[^a].c', 'b.c'],
    ['[^a-b].[ch]', 'c.h'],
    ['a[*\\-]b', 'a*b a-b'],
    ['a\\*b*', 'a*b'],
    ['[[]', '['],
    ['[[]*', '['],
    ['?', '[ é'],
    ['[à-ü]', 'é'],
    ['s*', 'd.c d.h deep deep/e.c'],
    ['s*/d.*', 'd.c d.h'],
    ['*/*', 'd.c d.h e.c'],
    ['*/deep', 'e.c'],
    ['**/e.c', ''],
    ['**/*.c', 'd.c'],
    ['sub/../*.h', 'c.h'],
    ['/*.h', 'c.h'],
    ['../*.h', 'c.h'],
    ['*.none', ''],
    ['none/*', ''],
  ])('%s', async (pattern, names) => {
    expect(await found(pattern)).toEqual([names]);
  });

  test('one that finds nothing is no error and makes nothing; a path that is not there is one', async () => {
    const [nothing, beside] = await each(files, 'COPY none* /o/', 'COPY none* a.c /o/');
    expect(nothing).toEqual([]);
    expect(beside).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/a.c=']);
    expect(await refused(files, 'COPY a.c none /o/')).toMatch(
      /^COPY_SOURCE_MISSING 2:1 `\/none` is not in the build context/,
    );
  });

  test.each(['[', '[a', 'x[]', '[]a]', '[a-]', '[b-a]', 'a/[b', '*\\'])(
    '%s is no pattern',
    async (pattern) => {
      const text = JSON.stringify(pattern.replaceAll('\\', '\\\\'));
      expect(await refused({ x: '' }, `COPY [${text}, "/o/"]`)).toMatch(/^COPY_INVALID 2:1 bad pattern: /);
    },
  );

  test('a matched directory gives its content, unless a dangling link is among the matches', async () => {
    const tree = { 'd1/x': '1', 'd2/y': '2', dl: { link: 'd1' } };
    expect(await one(tree, 'COPY d* /o')).toEqual(['d 755 0:0 /o', 'f 644 0:0 /o/x=1', 'f 644 0:0 /o/y=2']);
    expect(await refused({ ...tree, dz: { link: 'gone' } }, 'COPY d* /o')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/dz\` is a link to \`gone\`, which is not in the build context ($CONTEXT) | links are followed inside it alone: put the file itself there"`,
    );
  });

  test('patterns agree with a slow matcher', () => {
    const pieces = ['a', 'b', '/', '*', '?', '[ab]', '[^a]', '[/a]', '\\?', '-'];
    const pattern = fc.string({
      unit: fc.constantFrom(...pieces),
      maxLength: 8,
    });
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '?', '-'), maxLength: 8 });
    fc.assert(
      fc.property(pattern, text, (source, candidate) => {
        expect(matchGlob(compileGlob(source, { globstar: false }), candidate)).toBe(
          matches(source, candidate, { globstar: false }),
        );
      }),
      { numRuns: 5000 },
    );
  });
});

describe('L-COPY-9: symbolic links', () => {
  const files = {
    'real/x': 'X',
    'real/in': { link: 'x' },
    'real/away': { link: '/etc/passwd' },
    dir: { link: 'real' },
    'sub/up': { link: '../real' },
    'sub/abs': { link: '/real/x' },
    'sub/far': { link: '../../../../real/x' },
    two: { link: 'dir/in' },
  };
  const copied = ['d 755 0:0 /o', 's 0:0 /o/away -> /etc/passwd', 's 0:0 /o/in -> x', 'f 644 0:0 /o/x=X'];

  test('one that is named, or found by a pattern, is followed; those in a directory are copied', async () => {
    expect(
      await each(files, 'COPY dir /o', 'COPY sub/up /o', 'COPY di* /o', 'COPY dir/ /o', 'COPY sub/u? /o'),
    ).toEqual([copied, copied, copied, copied, copied]);
    expect(
      await each(
        files,
        'COPY two /o',
        'COPY tw* /o',
        'COPY sub/abs /o',
        'COPY sub/far /o',
        'COPY dir/x /o',
        'COPY dir/../two /o',
      ),
    ).toEqual(Array.from({ length: 6 }, () => ['f 644 0:0 /o=X']));
    // Its name is the link's.
    expect(await one(files, 'COPY two sub/abs /o/')).toEqual([
      'd 755 0:0 /o',
      'f 644 0:0 /o/abs=X',
      'f 644 0:0 /o/two=X',
    ]);
    expect(await one(files, 'COPY sub /o')).toEqual([
      'd 755 0:0 /o',
      's 0:0 /o/abs -> /real/x',
      's 0:0 /o/far -> ../../../../real/x',
      's 0:0 /o/up -> ../real',
    ]);
  });

  test('none leads out of the context', async () => {
    await using project = await makeProject({
      'l/out': { link: '/etc/hostname' },
      up: { link: '../secret' },
      a: { link: 'b' },
      b: { link: 'a' },
    });
    putFiles(`${project.path}/..`, { secret: 'S' });
    expect((await project.build('FROM scratch\nCOPY l /')).lines).toEqual(['s 0:0 /out -> /etc/hostname']);
    expect(await project.fails('FROM scratch\nCOPY l/out /')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/l/out\` is a link to \`/etc/hostname\`, which is not in the build context ($CONTEXT) | links are followed inside it alone: put the file itself there"`,
    );
    expect(await project.fails('FROM scratch\nCOPY up /x')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/up\` is a link to \`../secret\`, which is not in the build context ($CONTEXT) | links are followed inside it alone: put the file itself there"`,
    );
    expect(await project.fails('FROM scratch\nCOPY up/deeper /x')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/up\` is a link to \`../secret\`, which is not in the build context ($CONTEXT) | links are followed inside it alone: put the file itself there"`,
    );
    expect(await project.fails('FROM scratch\nCOPY a /x')).toMatchInlineSnapshot(
      `"COPY_INVALID 2:1 \`/a\` goes through more than 255 symbolic links"`,
    );
  });

  test('those of a stage are its own', async () => {
    await using project = await makeProject({ 'd/etc/hostname': 'stage', 'd/l': { link: '/etc/hostname' } });
    const text = 'FROM scratch AS s\nCOPY d /\nFROM scratch\nCOPY --from=s /l /o\n';
    expect((await project.build(text)).lines).toEqual(['f 644 0:0 /o=stage']);
  });
});

describe('L-COPY-10: hard links and special files', () => {
  test('hard links inside one copied tree stay; between sources and matches they do not', async () => {
    await using project = await makeProject({ 'd/a': 'same', 'd/other': '', 'e/x': '' });
    const { path } = project;
    for (const name of ['d/b', 'd/s', 'e/c', 'top']) linkSync(`${path}/d/a`, `${path}/${name}`);
    const build = async (text: string): Promise<readonly string[]> =>
      (await project.build(`FROM scratch\n${text}\n`)).lines.filter((line) => line.includes('same'));
    expect(await build('COPY d /o')).toEqual([
      'f 644 0:0 /o/a=same = /o/b /o/s',
      'f 644 0:0 /o/b=same = /o/a /o/s',
      'f 644 0:0 /o/s=same = /o/a /o/b',
    ]);
    expect(await build('COPY d e /o/')).toContain('f 644 0:0 /o/c=same');
    expect(await build('COPY d/* /o/')).toEqual(['a', 'b', 's'].map((name) => `f 644 0:0 /o/${name}=same`));
    expect(await build('COPY d/a top /o/')).toEqual(['a', 'top'].map((name) => `f 644 0:0 /o/${name}=same`));
    // The name that comes first may be left out.
    expect(await build('COPY --exclude=a d /o')).toEqual([
      'f 644 0:0 /o/b=same = /o/s',
      'f 644 0:0 /o/s=same = /o/b',
    ]);
    const staged = await project.build(
      'FROM scratch AS s\nCOPY d /s\nFROM scratch\nCOPY --from=s --chown=7 /s /o\n',
    );
    expect(staged.lines).toContain('f 644 7:7 /o/a=same = /o/b /o/s');
  });

  test('sockets become empty files, FIFOs stay; named ones and those in directories', async () => {
    await using project = await makeProject({ 'd/x': '' });
    execFileSync('mkfifo', ['-m', '620', `${project.path}/d/fifo`]);
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(`${project.path}/d/socket`, resolve));
    try {
      chmodSync(`${project.path}/d/socket`, 0o640);
      const { lines } = await project.build(
        'FROM scratch\nCOPY d /o\nCOPY d/socket /s\nCOPY d/fifo /p\nADD d/socket d/fifo /a/\n',
      );
      expect(lines).toEqual([
        'd 755 0:0 /a',
        'p 620 0:0 /a/fifo',
        'f 640 0:0 /a/socket=',
        'd 755 0:0 /o',
        'p 620 0:0 /o/fifo',
        'f 640 0:0 /o/socket=',
        'f 644 0:0 /o/x=',
        'p 620 0:0 /p',
        'f 640 0:0 /s=',
      ]);
      // A second time everything is known.
      expect((await project.build('FROM scratch\nCOPY d /o\n')).cached).toBe(1);
    } finally {
      await new Promise((resolve) => void server.close(resolve));
    }
  });
});

describe('L-COPY-11: owners and times', () => {
  test('files of a context are of root whoever has them; those of a stage keep theirs', async () => {
    const text = 'COPY --chown=7:8 d /d\nCOPY d /e';
    await using project = await makeProject({ 'd/f': 'F', 'd/l': { link: 'f' }, 'more/g': 'G' });
    expect((await project.build(`FROM scratch\n${text}`)).lines).toEqual([
      'd 755 7:8 /d',
      'f 644 7:8 /d/f=F',
      's 7:8 /d/l -> f',
      'd 755 0:0 /e',
      'f 644 0:0 /e/f=F',
      's 0:0 /e/l -> f',
    ]);
    const staged = `FROM scratch AS s\n${text}\nFROM scratch\nCOPY --from=s /d /new\nCOPY --from=s /d/f /f\nCOPY --from=m . /m/\n`;
    const { lines } = await project.build(staged, { buildContexts: { m: '$CONTEXT/more' } });
    expect(lines).toEqual([
      'f 644 7:8 /f=F',
      'd 755 0:0 /m',
      'f 644 0:0 /m/g=G',
      // The destination is made, not copied.
      'd 755 0:0 /new',
      'f 644 7:8 /new/f=F',
      's 7:8 /new/l -> f',
    ]);
  });

  test('times stay to the nanosecond, of links too, through stages', async () => {
    await using project = await makeProject({ 'd/f': 'F', 'd/l': { link: 'f' }, 'd/s/x': '' });
    const touch = (time: string, name: string): void =>
      void execFileSync('touch', ['-h', '-d', time, `${project.path}/d/${name}`]);
    touch('2020-01-02 03:04:05.123456789Z', 'f');
    touch('1969-12-31 23:59:59.5Z', 'l');
    touch('2300-01-01 00:00:00Z', 's');
    const { times } = await project.build(
      'FROM scratch AS s\nCOPY d /d\nFROM scratch\nCOPY --from=s /d /o\n',
    );
    expect(times).toMatchObject({
      '/o/f': '1577934245.123456789',
      '/o/l': '-0.5',
      '/o/s': '10413792000',
      '/o/s/x': '1000000000',
    });
  });
});

describe('L-COPY-17: sources that the ignore file hides', () => {
  test('they are not found, and the error names the line; a warning says so too', async () => {
    await using project = await makeProject({
      '.dockerignore': '# build output\n**/dist\n!keep/dist\nsecret*\n',
      'dist/x': '',
      'a/dist/y': '',
      'keep/dist/z': 'Z',
      secrets: '',
      l: { link: 'secrets' },
      'via/x': { link: '../a/dist' },
    });
    const fails = (text: string): Promise<string> => project.fails(`FROM scratch\n${text}`);
    expect(await fails('COPY dist /o')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/dist\` is excluded from the build context ($CONTEXT) | line 2 of .dockerignore excludes it: \`**/dist\`"`,
    );
    expect(await fails('COPY a/dist/y /o')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/a/dist/y\` is excluded from the build context ($CONTEXT) | line 2 of .dockerignore excludes it: \`**/dist\`"`,
    );
    expect(await fails('ADD secrets /o')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/secrets\` is excluded from the build context ($CONTEXT) | line 4 of .dockerignore excludes it: \`secret*\`"`,
    );
    expect(await fails('COPY l /o')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/l\` is a link to \`secrets\`, which is excluded from the build context ($CONTEXT) | line 4 of .dockerignore excludes it: \`secret*\`"`,
    );
    expect(await fails('COPY via/x/y /o')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/via/x\` is a link to \`../a/dist\`, which is excluded from the build context ($CONTEXT) | line 2 of .dockerignore excludes it: \`**/dist\`"`,
    );
    expect((await project.build('FROM scratch\nCOPY keep/dist sec* /o/')).lines).toEqual([
      'd 755 0:0 /o',
      'f 644 0:0 /o/z=Z',
    ]);
    const { error } = {
      error: await project.build('FROM scratch\nCOPY secrets /o').catch((reason: unknown) => reason),
    };
    expect((error as { details: unknown }).details).toMatchObject({
      path: '/secrets',
      ignoreFile: '.dockerignore',
      ignoreLine: 4,
      ignorePattern: 'secret*',
    });
  });
});

describe('L-COPY-17 L-COPY-8: the error for a source that is not there', () => {
  const files = {
    'package.json': '',
    'src/app.ts': '',
    'src/Main.ts': '',
    README: '',
    'src/lib/util.ts': '',
  };

  async function golden(project: Project, texts: readonly string[]): Promise<string> {
    const lines = await Promise.all(
      texts.map(
        async (text) =>
          `${text}\n    ${await project.fails(`FROM scratch AS base\nFROM scratch\n${text}`, { buildContexts: { more: '$CONTEXT/src' } })}`,
      ),
    );
    return `${lines.join('\n')}\n`;
  }

  test('names the root, and what was probably meant', async () => {
    await using project = await makeProject({ ...files, out: { link: '/usr/share' } });
    const texts = [
      'COPY pakage.json /',
      'COPY readme /',
      'COPY src/app.js src/main.ts /o/',
      'COPY app.ts /',
      'COPY util.ts /',
      'COPY lib /',
      'COPY scr/app.ts /',
      'COPY ../sibling /',
      'COPY ../package.jsn /',
      'COPY package.json/x /',
      'COPY out/x /',
      'COPY nothing-like-it /',
      'ADD nothing.tar.gz /',
      'COPY --from=base /etc/app /',
      'COPY --from=more Mian.ts /',
      'COPY --parents src/./lib/utils.ts /',
    ];
    const text = await golden(project, texts);
    const { expectGolden } = await import('../support/golden.ts');
    expectGolden('copy-missing.txt', text);
  });

  test('a name of one letter is near to itself in the other case alone', async () => {
    await using project = await makeProject({ D: '' });
    expect(await project.fails('FROM scratch\nCOPY x /\n')).toContain('| paths start at its root');
    expect(await project.fails('FROM scratch\nCOPY ../x /\n')).toContain('| `..` cannot leave it');
    expect(await project.fails('FROM scratch\nCOPY d /\n')).toContain('| did you mean `D`?');
  });

  test('a Dockerfile that came alone has no context to copy from', async () => {
    await using project = await makeProject({});
    const { streamOf } = await import('../../src/util/streams.ts');
    const context = { stream: streamOf('FROM scratch\nCOPY a /\n') };
    expect(await project.fails(undefined, { context })).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/a\` is not in the build context, which is empty | the Dockerfile came without a context: give a directory, or a tar archive with the files"`,
    );
  });
});

describe('L-COPY-18: one layer and one history entry each', () => {
  test('with several sources too, and also when nothing is copied', async () => {
    await using project = await makeProject({ a: '', b: '', 'd/c': '' });
    const { layers, config } = await project.build(
      'FROM scratch\nCOPY a b d /o/\nADD a b /p/\nCOPY none* /q/\nCOPY a /o/\n',
    );
    expect(layers.map((layer) => layer.map(({ path }) => path))).toEqual([
      ['o', 'o/a', 'o/b', 'o/c'],
      ['p', 'p/a', 'p/b'],
      [],
      ['o', 'o/a'],
    ]);
    expect(config.history).toHaveLength(4);
    expect(config.history?.some((entry) => entry['empty_layer'] === true)).toBe(false);
  });

  test.each([
    ['COPY a b /c/', 'COPY a b /c/ # buildkit'],
    ['COPY --chown=1:2 a /c', 'COPY --chown=1:2 a /c # buildkit'],
    ['COPY --chmod=644 --chown=1 a /c', 'COPY --chown=1 --chmod=644 a /c # buildkit'],
    ['COPY --link --exclude=x a /c', 'COPY a /c # buildkit'],
    ['COPY --parents a /c', 'COPY --parents a /c # buildkit'],
    ['COPY --from=s a /c', 'COPY a /c # buildkit'],
    ['ADD --unpack=true --chmod=u+x a /c', 'ADD --chmod=u+x a /c # buildkit'],
    ['ARG V=x\nCOPY $V "b" ${V}y', 'COPY x b xy # buildkit'],
    ['COPY ["a b", "/c"]', 'COPY a b /c # buildkit'],
    ['COPY <<EOF a /c/\nx\nEOF', 'COPY a <<EOF /c/ # buildkit'],
  ])('%s', async (text, entry) => {
    const { history } = await imageOf(`FROM scratch AS s\nFROM scratch\n${text}`);
    expect(history.at(-1)).toBe(`* ${entry}`);
  });
});

test('the golden of missing sources has no path of this machine', () => {
  const text = readFileSync(new URL('../../golden/copy-missing.txt', import.meta.url), 'utf8');
  expect(text).not.toMatch(/\/tmp\//);
});
