import { describe, expect, test } from 'vitest';
import type { GitUrl } from '../../src/util/git-url.ts';
import { isGitUrl, parseGitUrl as parse } from '../../src/util/git-url.ts';

const parseGitUrl = (text: string): GitUrl => {
  expect(isGitUrl(text)).toBe(true);
  return parse(text, 'CONTEXT_INVALID');
};

test.each([
  ['https://example.com/a/b.git', { url: 'https://example.com/a/b.git' }],
  ['http://example.com:8080/b.git#main', { url: 'http://example.com:8080/b.git', ref: 'main' }],
  [
    'https://example.com/b.git#v1:sub/dir',
    { url: 'https://example.com/b.git', ref: 'v1', subdir: 'sub/dir' },
  ],
  ['https://example.com/b.git#:sub', { url: 'https://example.com/b.git', subdir: 'sub' }],
  ['git@example.com:a/b.git#main', { url: 'git@example.com:a/b.git', ref: 'main' }],
  ['git@example.com:a/b', { url: 'git@example.com:a/b' }],
  ['ssh://git@example.com/b', { url: 'ssh://git@example.com/b' }],
  ['git://example.com/b', { url: 'git://example.com/b' }],
  ['https://example.com/b.git?tag=v1', { url: 'https://example.com/b.git', ref: 'refs/tags/v1' }],
  [
    'https://example.com/b.git?branch=x&subdir=s',
    { url: 'https://example.com/b.git', ref: 'refs/heads/x', subdir: 's' },
  ],
  [
    'https://example.com/b.git?ref=main&commit=0123456789abcdef&keep-git-dir&submodules=false',
    {
      url: 'https://example.com/b.git',
      ref: 'main',
      checksum: '0123456789abcdef',
      keepGitDir: true,
      submodules: false,
    },
  ],
  ['https://example.com/b.git#main?x', undefined],
  ['https://example.com/b.git?mtime=commit', { url: 'https://example.com/b.git', mtime: 'commit' }],
  [
    `https://example.com/b.git?fetch-by-commit=true&commit=${'a'.repeat(40)}`,
    { url: 'https://example.com/b.git', checksum: 'a'.repeat(40), fetchByCommit: true },
  ],
])('%s', (text, expected) => {
  if (expected === undefined) expect(() => parseGitUrl(text)).toThrow();
  else expect(parseGitUrl(text)).toEqual(expected);
});

test.each([
  '.',
  'dir',
  './x.git',
  '/a/b.git',
  'https://example.com/a.tar.gz',
  'file:///x.git',
  'name:tag',
  'ext::sh -c x',
])('%s is no git URL', (text) => expect(isGitUrl(text)).toBe(false));

describe('refused', () => {
  test.each([
    'https://e.com/b.git?branch=a&tag=b',
    'https://e.com/b.git?ref=a#b',
    'https://e.com/b.git?what=1',
    'https://e.com/b.git?mtime=now',
    'https://e.com/b.git?fetch-by-commit',
    'https://e.com/b.git?fetch-by-commit&commit=0123456',
    'https://e.com/b.git#--upload-pack=evil',
    'https://e.com/b.git?checksum=xyz',
    'https://e.com/b.git?submodules=maybe',
    'https://e.com/b.git#a b',
  ])('%s', (text) =>
    expect(() => parseGitUrl(text)).toThrow(expect.objectContaining({ code: 'CONTEXT_INVALID' })),
  );

  test('passwords are not in the message', () => {
    expect(() => parseGitUrl('https://u:secret@e.com/b.git?x=1')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('secret') }),
    );
  });
});
