import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { writeTar } from '../../src/image/tar.ts';
import { contextTree } from '../../src/source/context-tree.ts';
import { parseIgnore } from '../../src/source/ignore.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { compileGlob, matchGlob, mayMatchBelow } from '../../src/util/glob.ts';
import { readAll, streamOf } from '../../src/util/streams.ts';
import { file as fileEntry, streamOfEntries } from '../image/entries.ts';
import { tempFolder } from '../support/temp.ts';
import { makeProject, putFiles } from './built.ts';
import { decides, matches } from './slow-matcher.ts';

const all = 'FROM scratch\nCOPY . /\n';
const paths = (lines: readonly string[]): string[] =>
  lines.map((line) => line.replace(/^\S+ \S+ \S+ |=[^]*$/g, ''));

test('L-IGN-3: a pattern of many `**` is read and matched', () => {
  const ignore = parseIgnore(`${'**/'.repeat(20_000)}a`, '.dockerignore');
  expect(['a', 'b/c/a', 'b/c'].map((path) => ignore.excluded(path) !== undefined)).toEqual([
    true,
    true,
    false,
  ]);
});

describe('L-IGN-1: which ignore file counts', () => {
  test('the one beside the Dockerfile and named after it, else the one in the root; they are not merged', async () => {
    await using project = await makeProject({
      '.dockerignore': 'a\nsub\n*gnore',
      a: '',
      b: '',
      'sub/D': all,
      'sub/D.dockerignore': 'b\n**/*gnore',
      'sub/E': all,
      Dockerfile: all,
    });
    const { path } = project;
    const withOwn = await project.build(undefined, { dockerfile: `${path}/sub/D` });
    expect(paths(withOwn.lines)).toEqual(['/Dockerfile', '/a', '/sub', '/sub/D', '/sub/E']);
    const without = await project.build(undefined, { dockerfile: `${path}/sub/E` });
    expect(paths(without.lines)).toEqual(['/Dockerfile', '/b']);
    expect((await project.build(undefined)).lines).toEqual(without.lines);
  });

  test('Dockerfile.dockerignore is beside the Dockerfile that nobody named; an empty one is one', async () => {
    await using project = await makeProject({
      '.dockerignore': 'a',
      'Dockerfile.dockerignore': '',
      Dockerfile: all,
      a: '',
    });
    expect(paths((await project.build(undefined)).lines)).toContain('/a');
    // A text has no place, and no file beside it.
    expect(paths((await project.build(all)).lines)).not.toContain('/a');
  });

  test('a Dockerfile outside of the context has its own beside it', async () => {
    await using project = await makeProject({ '.dockerignore': 'a', a: '', b: '' });
    putFiles(`${project.path}/..`, { D: all, 'D.dockerignore': 'b\n.dockerignore' });
    const built = await project.build(undefined, { dockerfile: `${project.path}/../D` });
    expect(paths(built.lines)).toEqual(['/a']);
  });

  test('a build context that is a directory has its own, and the main one says nothing of it', async () => {
    await using project = await makeProject({
      Dockerfile: 'FROM scratch\nCOPY --from=more . /more/\nCOPY . /main/\n',
      '.dockerignore': 'more\n.dockerignore\nDockerfile',
      keep: '',
      'more/.dockerignore': 'keep\nsub/**\n.dockerignore',
      'more/Dockerfile.dockerignore': '*',
      'more/keep': '',
      'more/sub/x': '',
    });
    const built = await project.build(undefined, { buildContexts: { more: '$CONTEXT/more' } });
    expect(paths(built.lines)).toEqual([
      '/main',
      '/main/keep',
      '/more',
      '/more/Dockerfile.dockerignore',
      '/more/sub',
    ]);
  });

  test('an archive on standard input is taken whole', async () => {
    await using project = await makeProject({ unused: '' });
    const tar = await readAll(
      writeTar(
        streamOfEntries(fileEntry('.dockerignore', '*'), fileEntry('Dockerfile', all), fileEntry('a')),
      ),
      1e6,
    );
    const built = await project.build(undefined, { context: { stream: streamOf(tar) } });
    expect(paths(built.lines)).toEqual(['/.dockerignore', '/Dockerfile', '/a']);
  });
});

const rows = readFileSync(new URL('../../golden/dockerignore.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((row, index) => index > 0 && row !== '')
  .map((row) => row.split(' | ') as [string, string, string]);

function decide(lines: string, path: string): string {
  try {
    const found = parseIgnore(lines.replaceAll(' ; ', '\n'), '.dockerignore').excluded(path);
    return found === undefined ? '-' : String(found.line);
  } catch (error) {
    if (error instanceof BuildError && error.code === 'IGNORE_FILE_INVALID') {
      return `bad ${error.source?.range.start.line}`;
    }
    throw error;
  }
}

describe('L-IGN-2 L-IGN-3: golden rows', () => {
  test.each(rows)('%s | %s', (lines, path, expected) => {
    expect(decide(lines, path)).toBe(expected);
  });
  test('there are enough of them', () => expect(rows.length).toBeGreaterThanOrEqual(200));
});

describe('L-IGN-2: how a line is read', () => {
  test('a byte order mark and Windows line ends say nothing; `#` in column 1 alone is a comment', () => {
    const ignore = parseIgnore('\uFEFF# bom\r\na\r\n\r\n# c\r\n!a/b\r\n #d\r\n\t e \t\r\n', 'x');
    expect(ignore.patterns.map(({ text, line }) => [text, line])).toEqual([
      ['a', 2],
      ['!a/b', 5],
      ['#d', 6],
      ['e', 7],
    ]);
  });

  test('a lone `!` and a bad pattern are refused with their line', async () => {
    await using project = await makeProject({ '.dockerignore': 'ok\n  ! \n', Dockerfile: all });
    expect(await project.fails(undefined)).toMatchInlineSnapshot(
      `"IGNORE_FILE_INVALID .dockerignore:2:1 a lone \`!\` excludes nothing and includes nothing"`,
    );
    putFiles(project.path, { '.dockerignore': 'ok\n\n# x\na/[b\n' });
    expect(await project.fails(undefined)).toMatchInlineSnapshot(
      `"IGNORE_FILE_INVALID .dockerignore:4:1 bad pattern: \`a/[b\` has a character class that is not closed; write \`[[]\` for a bracket"`,
    );
    putFiles(project.path, { '.dockerignore': '[z-a]' });
    expect(await project.fails(undefined)).toMatchInlineSnapshot(
      `"IGNORE_FILE_INVALID .dockerignore:1:1 bad pattern: \`[z-a]\` has a range that goes from high to low"`,
    );
    putFiles(project.path, { '.dockerignore': 'a\\' });
    expect(await project.fails(undefined)).toMatchInlineSnapshot(
      `"IGNORE_FILE_INVALID .dockerignore:1:1 bad pattern: \`a\\\` ends in a lone backslash"`,
    );
    putFiles(project.path, { '.dockerignore': 'fine', 'more/.dockerignore': '[' });
    expect(
      await project.fails('FROM scratch\nCOPY --from=m . /', { buildContexts: { m: '$CONTEXT/more' } }),
    ).toMatchInlineSnapshot(
      `"IGNORE_FILE_INVALID $CONTEXT/more/.dockerignore:1:1 bad pattern: \`[\` has a character class that is not closed; write \`[[]\` for a bracket"`,
    );
  });
});

describe('L-IGN-3: matching', () => {
  test('children of an excluded directory come back, with the directories above them as they are', async () => {
    await using project = await makeProject({
      '.dockerignore': '*\n!a/b/keep\n!**/*.c\nz',
      'a/': { mode: 0o700 },
      'a/b/keep/x': '',
      'a/b/other': '',
      'deep/in/x.c': '',
      'deep/in/x.h': '',
      'empty/': {},
      'z/x.c': '',
    });
    const { lines, times } = await project.build(all);
    expect(lines).toEqual([
      'd 700 0:0 /a',
      'd 755 0:0 /a/b',
      'd 755 0:0 /a/b/keep',
      'f 644 0:0 /a/b/keep/x=',
      'd 755 0:0 /deep',
      'd 755 0:0 /deep/in',
      'f 644 0:0 /deep/in/x.c=',
    ]);
    expect(times['/a']).toBe('1000000000');
  });

  test('an excluded directory is pruned only when nothing below it can come back', () => {
    const prunes = (lines: string, directory: string): boolean => parseIgnore(lines, 'x').canPrune(directory);
    expect(prunes('node_modules', 'node_modules')).toBe(true);
    expect(prunes('node_modules', 'src')).toBe(false);
    expect(prunes('*\n!src/*.c', 'src')).toBe(false);
    expect(prunes('*\n!src/*.c', 'doc')).toBe(true);
    expect(prunes('*\n!**/x', 'doc')).toBe(false);
    expect(prunes('!a/b\na', 'a')).toBe(true);
    expect(prunes('a\n!ab', 'a')).toBe(true);
  });

  // Small alphabets, so that patterns match often.
  const letters = ['a', 'b', '/'];
  const text = fc.string({ unit: fc.constantFrom(...letters), maxLength: 8 });
  const pieces = [...letters, '*', '?', '**', '**/', '[ab]', '[^a]', '\\*', '.'];
  const pattern = fc.string({ unit: fc.constantFrom(...pieces), maxLength: 8 });

  test('a pattern agrees with a slow matcher', () => {
    fc.assert(
      fc.property(pattern, text, fc.boolean(), (source, candidate, globstar) => {
        expect(matchGlob(compileGlob(source, { globstar }), candidate)).toBe(
          matches(source, candidate, { globstar }),
        );
      }),
      { numRuns: 5000 },
    );
  });

  test('what can match below a directory is never denied', () => {
    fc.assert(
      fc.property(pattern, text, text, (source, start, rest) => {
        const glob = compileGlob(source, { globstar: true });
        if (rest !== '' && matchGlob(glob, start + rest)) expect(mayMatchBelow(glob, start)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  const name = fc.constantFrom('a', 'b', 'ab', 'c.a', '.a');
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const part = fc.oneof(name, fc.constantFrom('*', '**', '?', 'a*', '*a', '**a', '[^a]', '..', '.', ''));
  const line = fc
    .tuple(fc.constantFrom('', '', '!', '! ', '/'), fc.array(part, { minLength: 1, maxLength: 4 }))
    .map(([start, parts]) => start + parts.join('/'));
  const file = fc
    .array(line, { maxLength: 5 })
    .filter((lines) => lines.every((each) => !/^!\s*$/.test(each)));

  test('a file of patterns agrees with the slow matcher', () => {
    fc.assert(
      fc.property(file, path, (lines, candidate) => {
        const found = parseIgnore(lines.join('\n'), 'x').excluded(candidate)?.line;
        expect(found).toBe(decides(lines, candidate));
      }),
      { numRuns: 5000 },
    );
  });

  test('a context shows what the slow matcher lets through, whatever is pruned', async () => {
    await using folder = await tempFolder('ignore');
    const files = [
      'a/a/a',
      'a/a/b',
      'a/b',
      'ab',
      'b/a/ab/c.a',
      'b/b/b/.a',
      'b/c.a/a',
      'c.a',
      '.a/a/b',
      '.a/b',
    ];
    putFiles(folder.path, Object.fromEntries(files.map((each) => [each, ''])));
    await fc.assert(
      fc.asyncProperty(file, async (lines) => {
        const tree = contextTree(folder.path, { ignore: parseIgnore(lines.join('\n'), 'x') });
        const shown = (await Array.fromAsync(tree.walk('')))
          .filter(({ type }) => type === 'file')
          .map((entry) => entry.path);
        const wanted = files.filter((each) => decides(lines, each) === undefined);
        expect(shown.toSorted()).toEqual(wanted.toSorted());
        for (const each of files) expect((await tree.lstat(each)) !== undefined).toBe(wanted.includes(each));
      }),
      { numRuns: 300 },
    );
  });

  test('a pattern made to explode is matched', () => {
    // With backtracking this would not end.
    const many = compileGlob(`${'*a'.repeat(40)}b`, { globstar: true });
    expect(matchGlob(many, 'a'.repeat(2000))).toBe(false);
    const directories = compileGlob(`${'**/a/'.repeat(30)}b`, { globstar: true });
    expect(matchGlob(directories, 'a/'.repeat(300))).toBe(false);
  });
});

describe('L-IGN-4: files of the build that are listed', () => {
  test('the Dockerfile and the ignore file are used, and cannot be copied', async () => {
    const dockerfile = 'FROM scratch\nCOPY a /\n';
    await using project = await makeProject({
      '.dockerignore': 'Dockerfile\n.dockerignore\nb',
      Dockerfile: dockerfile,
      a: 'A',
      b: '',
    });
    expect((await project.build(undefined)).lines).toEqual(['f 644 0:0 /a=A']);
    expect(paths((await project.build(all)).lines)).toEqual(['/a']);
    expect(await project.fails('FROM scratch\nCOPY Dockerfile /')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/Dockerfile\` is excluded from the build context ($CONTEXT) | line 1 of .dockerignore excludes it: \`Dockerfile\`"`,
    );
    expect(await project.fails('FROM scratch\nCOPY a .dockerignore /x/')).toMatchInlineSnapshot(
      `"COPY_SOURCE_MISSING 2:1 \`/.dockerignore\` is excluded from the build context ($CONTEXT) | line 2 of .dockerignore excludes it: \`.dockerignore\`"`,
    );
  });

  test('not listed they are files as others are', async () => {
    await using project = await makeProject({ '.dockerignore': 'b', Dockerfile: all, b: '' });
    expect(paths((await project.build(undefined)).lines)).toEqual(['/.dockerignore', '/Dockerfile']);
  });
});

describe('L-IGN-5: only what a reachable step names is read', () => {
  // A name that no layer can hold: to walk over it is an error.
  const unreadable = (folder: string): void =>
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff])]), '');

  test('paths that no COPY, ADD or bind mount names are not looked at', async () => {
    await using project = await makeProject({ 'named/x': '', 'other/y': '', 'named/sub/z': '' });
    unreadable(`${project.path}/other`);
    unreadable(project.path);
    const text = 'FROM scratch\nCOPY named/x n*/sub /o/\nADD named/sub/z /o/z\n';
    expect(paths((await project.build(text)).lines)).toEqual(['/o', '/o/x', '/o/z']);
    for (const whole of ['COPY . /', 'COPY other /'])
      expect(await project.fails(`FROM scratch\n${whole}`)).toContain('its name is not UTF-8');
  });

  test('an ignored directory is not read, and an unreachable stage asks for nothing', async () => {
    await using project = await makeProject({ '.dockerignore': '*\n!a', a: 'A', 'other/y': '' });
    unreadable(`${project.path}/other`);
    const text = 'FROM scratch AS unused\nCOPY nowhere /\nFROM scratch\nCOPY . /\n';
    expect((await project.build(text)).lines).toEqual(['f 644 0:0 /a=A']);
  });

  test('where a named link leads is read too', async () => {
    await using project = await makeProject({
      'real/deep/x': 'X',
      'links/one': { link: '../real/two' },
      'real/two': { link: '/real/deep' },
    });
    unreadable(`${project.path}/real`);
    expect((await project.build('FROM scratch\nCOPY links/one /\n')).lines).toEqual(['f 644 0:0 /x=X']);
  });
});
