import type { Case } from './scene.ts';
import { again, all, chmod, define, edit, http, option, put, remove, rename, touch } from './scene.ts';
import { tarOf } from './tar-of.ts';

const abc = { a: 'a', b: 'b', c: 'c' };
const users = 'root:x:0:0::/:\nann:x:100:200::/:\n';
const groups = 'root:x:0:\nstaff:x:50:\n';
const base = { 'etc/passwd': users, 'etc/group': groups, file: 'f' };

/** Stages, images, archives, other contexts, what servers have. */
export const stageCases: readonly Case[] = [
  define(
    'copy-from-stage',
    [
      'FROM scratch AS one',
      'COPY a /out/a',
      'COPY b /junk/b',
      'FROM scratch',
      'COPY --from=one /out /app',
      'COPY c /c',
    ],
    { files: abc },
    [
      again,
      put('a', 'A'),
      put('b', 'B'),
      put('c', 'C'),
      touch('a'),
      edit('AS one', 'AS two\nFROM two AS one'),
      all('rename the stage', edit('AS one', 'AS two'), edit('--from=one', '--from=two')),
      edit('--from=one', '--from=0'),
      edit('/junk/b', '/out/b'),
      all('another way to the same content', edit('COPY a /out/a', 'COPY b /out/x\nCOPY a /out/a')),
    ],
  ),
  define(
    'copy-from-stage-same-content',
    [
      'FROM scratch AS one',
      'COPY a /x',
      'COPY b /y',
      'FROM scratch',
      'COPY --from=one /x /y /d/',
      'WORKDIR /w',
    ],
    { files: abc },
    [
      all('the same files by another instruction', edit('COPY a /x\nCOPY b /y', 'COPY b /y\nCOPY a /x')),
      all('renamed in the context', rename('a', 'z'), edit('COPY a /x', 'COPY z /x')),
      all('swap two contents', put('a', 'b'), put('b', 'a')),
    ],
  ),
  define(
    'stage-on-stage',
    ['FROM scratch AS one', 'COPY a /a', 'FROM one AS two', 'COPY b /b', 'FROM two', 'COPY c /c'],
    { files: abc },
    [
      put('a', 'A'),
      put('b', 'B'),
      put('c', 'C'),
      edit('FROM two', 'FROM one'),
      option('--target two', { target: 'two' }),
    ],
  ),
  define(
    'copy-from-the-stage-below',
    [
      ...['FROM scratch AS one', 'COPY a /a', 'COPY b /b', 'FROM one AS two', 'COPY --from=one /a /to/x'],
      ...['FROM one', 'COPY --link --from=one /a /to/x', 'COPY --from=two /to /to'],
    ],
    { files: abc },
    [
      again,
      edit('COPY --from=one /a', 'COPY --from=one /b'),
      edit('--link --from=one /a', '--link --from=one /b'),
      put('a', 'A'),
      put('b', 'B'),
    ],
  ),
  define(
    'stages-side-by-side',
    [
      ...['FROM scratch AS one', 'COPY a /a', 'FROM scratch AS two', 'COPY b /b'],
      ...['FROM scratch', 'COPY --from=one /a /a', 'COPY --from=two /b /b', 'COPY c /c'],
    ],
    { files: abc },
    [put('a', 'A'), put('b', 'B'), put('c', 'C'), edit('COPY --from=two /b /b\n', '')],
  ),
  define(
    'unused-stage',
    ['FROM scratch AS unused', 'COPY a /a', 'FROM scratch', 'COPY b /b'],
    { files: abc },
    [put('a', 'A'), edit('COPY a /a', 'COPY missing /a'), put('b', 'B')],
  ),
  define(
    'copy-wildcard-from-stage',
    ['FROM scratch AS one', 'COPY . /d/', 'FROM scratch', 'COPY --from=one /d/*.txt /t/'],
    { files: { 'a.txt': 'a', 'b.txt': 'b', c: 'c' } },
    [put('c', 'C'), put('c.txt', 'c'), put('a.txt', 'A'), remove('b.txt')],
  ),
  define(
    'base-image',
    ['FROM localhost/base', 'COPY a /a', 'WORKDIR /w'],
    { files: abc, bases: { 'localhost/base': base } },
    [
      again,
      put('a', 'A'),
      put('file', 'F', { base: 'localhost/base' }),
      touch('file', { base: 'localhost/base' }),
      chmod('file', 0o755, { base: 'localhost/base' }),
      option('--pull of an image of the store', { pull: false }),
    ],
  ),
  define(
    'base-image-by-another-name',
    ['ARG BASE=localhost/base', 'FROM $BASE', 'COPY a /a'],
    {
      files: abc,
      bases: { 'localhost/base': base, 'localhost/copy': base, 'localhost/other': { file: 'o' } },
    },
    [
      option('--build-arg BASE=localhost/copy, which is the same image', {
        buildArgs: { BASE: 'localhost/copy' },
      }),
      option('--build-arg BASE=localhost/other', { buildArgs: { BASE: 'localhost/other' } }),
      edit('FROM $BASE', 'FROM localhost/base:latest'),
    ],
  ),
  define(
    'copy-from-image',
    ['FROM scratch', 'COPY --from=localhost/base /file /f', 'COPY a /a'],
    { files: abc, bases: { 'localhost/base': base } },
    [
      put('file', 'F', { base: 'localhost/base' }),
      put('more', 'm', { base: 'localhost/base' }),
      touch('file', { base: 'localhost/base' }),
      put('a', 'A'),
    ],
  ),
  define(
    'copy-chown-by-name',
    ['FROM localhost/base', 'COPY --chown=ann:staff a /a', 'COPY b /b'],
    { files: abc, bases: { 'localhost/base': base } },
    [
      put('etc/passwd', users.replace('100', '101'), { base: 'localhost/base' }),
      put('etc/group', groups.replace('50', '51'), { base: 'localhost/base' }),
      put('etc/passwd', { text: users, mtime: 5 }, { base: 'localhost/base' }),
      edit('ann:staff', '100:50'),
      put('a', 'A'),
    ],
  ),
  define(
    'copy-chown-by-name-in-a-stage',
    ['FROM scratch AS users', 'COPY passwd /etc/passwd', 'FROM users', 'COPY --chown=ann a /a', 'COPY b /b'],
    { files: { ...abc, passwd: users } },
    [put('passwd', users.replace('100', '101')), put('passwd', { text: users, mtime: 5 }), put('a', 'A')],
  ),
  define(
    'add-archive',
    ['FROM scratch', 'ADD x.tar /x/', 'COPY a /a'],
    { files: { ...abc, 'x.tar': { bytes: tarOf({ one: '1', two: '2' }) } } },
    [
      put('x.tar', { bytes: tarOf({ one: '1', two: '3' }) }),
      put('x.tar', { bytes: tarOf({ one: '1' }) }),
      touch('x.tar'),
      put('x.tar', 'no archive'),
      edit('ADD x.tar', 'COPY x.tar'),
      all('rename the archive', rename('x.tar', 'y.tar'), edit('ADD x.tar', 'ADD y.tar')),
    ],
  ),
  define(
    'add-url',
    ['FROM scratch', 'ADD {http}/f /f', 'COPY a /a'],
    { files: abc, http: { '/f': 'one', '/g': 'one' } },
    [
      again,
      http('/f', 'two'),
      http('/g', 'two'),
      edit('/f /f', '/f /h'),
      edit('{http}/f', '{http}/g'),
      put('a', 'A'),
    ],
  ),
  define(
    'add-url-to-directory',
    ['FROM scratch', 'ADD --chmod=600 {http}/f /d/', 'COPY a /a'],
    { files: abc, http: { '/f': 'one', '/g': 'one' } },
    [http('/f', 'two'), edit('{http}/f', '{http}/g'), edit('600', '640')],
  ),
  define(
    'add-git',
    ['FROM scratch', 'ADD {git}/r.git /r', 'COPY a /a'],
    { files: abc, git: { one: '1', 'sub/two': '2' } },
    [
      again,
      put('one', 'I', 'git'),
      put('sub/two', 'II', 'git'),
      chmod('one', 0o600, 'git'),
      chmod('one', 0o755, 'git'),
    ],
  ),
  define(
    'add-git-directory',
    ['FROM scratch', 'ADD {git}/r.git#main:sub /r', 'COPY a /a'],
    { files: abc, git: { one: '1', 'sub/two': '2' } },
    [again, put('one', 'I', 'git'), put('sub/two', 'II', 'git'), edit('#main:sub', '#main')],
  ),
  define(
    'named-context',
    ['FROM scratch', 'COPY --from=lib /x /x', 'COPY a /a'],
    { files: abc, contexts: { lib: { x: 'x', y: 'y' } } },
    [
      again,
      put('x', 'X', { context: 'lib' }),
      put('y', 'Y', { context: 'lib' }),
      touch('x', { context: 'lib' }),
      put('a', 'A'),
      put('x', 'in the main context'),
    ],
  ),
  define(
    'named-context-for-a-stage',
    ['FROM scratch AS lib', 'COPY b /x', 'FROM scratch', 'COPY --from=lib /x /x'],
    { files: abc },
    [
      {
        title: 'a context called like the stage, with another content',
        change: (scene) => ({ ...scene, contexts: { lib: { x: 'x' } } }),
      },
      put('b', 'B'),
    ],
  ),
  define(
    'stage-replaces-file',
    ['FROM scratch AS one', 'COPY a /x', 'COPY b /x', 'FROM scratch', 'COPY --from=one / /all'],
    { files: abc },
    [put('a', 'A'), put('b', 'B')],
  ),
  define(
    'base-of-equal-content',
    ['FROM scratch AS one', 'COPY a /x', 'COPY b /x', 'FROM one', 'COPY c /c', 'WORKDIR /w'],
    { files: abc },
    [put('a', 'A'), put('b', 'B'), put('c', 'C'), edit('COPY a /x\n', '')],
  ),
  define(
    'platform-in-names',
    ['FROM scratch', 'ARG TARGETARCH', 'COPY bin-$TARGETARCH /bin', 'COPY a /a'],
    { files: { ...abc, 'bin-amd64': 'x', 'bin-arm64': 'y' }, options: { platform: 'linux/amd64' } },
    [
      option('--platform linux/arm64', { platform: 'linux/arm64' }),
      put('bin-arm64', 'Y'),
      put('bin-amd64', 'X'),
      edit('COPY bin-$TARGETARCH /bin\n', ''),
    ],
  ),
  define(
    'reordered-stages',
    [
      'FROM scratch AS one',
      'COPY a /a',
      'FROM scratch AS two',
      'COPY b /b',
      'FROM scratch',
      'COPY --from=one / /1',
      'COPY --from=two / /2',
    ],
    { files: abc },
    [
      edit(
        'FROM scratch AS one\nCOPY a /a\nFROM scratch AS two\nCOPY b /b\n',
        'FROM scratch AS two\nCOPY b /b\nFROM scratch AS one\nCOPY a /a\n',
      ),
      edit('COPY --from=one / /1\nCOPY --from=two / /2', 'COPY --from=two / /2\nCOPY --from=one / /1'),
    ],
  ),
];
