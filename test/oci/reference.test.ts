import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  familiarReference,
  formatReference,
  parseReference,
  refuseRegistryAlone,
} from '../../src/oci/reference.ts';
import { BuildError } from '../../src/util/build-error.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('R-NAME-1: parseReference', () => {
  test.each([
    ['alpine', 'docker.io/library/alpine:latest', 'alpine:latest'],
    ['alpine:3.20', 'docker.io/library/alpine:3.20', 'alpine:3.20'],
    ['user/app', 'docker.io/user/app:latest', 'user/app:latest'],
    ['docker.io/alpine', 'docker.io/library/alpine:latest', 'alpine:latest'],
    ['index.docker.io/library/alpine:1', 'docker.io/library/alpine:1', 'alpine:1'],
    ['docker.io/library/a/b', 'docker.io/library/a/b:latest', 'library/a/b:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/app:v1', 'localhost:5000/app:v1', 'localhost:5000/app:v1'],
    ['host:5000/a/b/c', 'host:5000/a/b/c:latest', 'host:5000/a/b/c:latest'],
    ['ghcr.io/o/app', 'ghcr.io/o/app:latest', 'ghcr.io/o/app:latest'],
    ['[::1]:5000/app', '[::1]:5000/app:latest', '[::1]:5000/app:latest'],
    ['UPPER/app', 'UPPER/app:latest', 'UPPER/app:latest'],
    [`alpine@${digest}`, `docker.io/library/alpine@${digest}`, `alpine@${digest}`],
    [`alpine:3@${digest}`, `docker.io/library/alpine:3@${digest}`, `alpine:3@${digest}`],
    ['a__b/c--d/e.f', 'docker.io/a__b/c--d/e.f:latest', 'a__b/c--d/e.f:latest'],
    ['app:_x', 'docker.io/library/app:_x', 'app:_x'],
    // Docker Hub's names.
    ['library/alpine', 'docker.io/library/alpine:latest', 'alpine:latest'],
    ['docker.io/library/alpine', 'docker.io/library/alpine:latest', 'alpine:latest'],
    ['docker.io/user/app:1', 'docker.io/user/app:1', 'user/app:1'],
    ['index.docker.io/user/app', 'docker.io/user/app:latest', 'user/app:latest'],
    ['library/a/b', 'docker.io/library/a/b:latest', 'library/a/b:latest'],
    ['a/b/c/d/e', 'docker.io/a/b/c/d/e:latest', 'a/b/c/d/e:latest'],
    [
      'registry-1.docker.io/library/a',
      'registry-1.docker.io/library/a:latest',
      'registry-1.docker.io/library/a:latest',
    ],
    ['docker.io:443/library/a', 'docker.io:443/library/a:latest', 'docker.io:443/library/a:latest'],
    ['0', 'docker.io/library/0:latest', '0:latest'],
    ['a', 'docker.io/library/a:latest', 'a:latest'],
    ['latest', 'docker.io/library/latest:latest', 'latest:latest'],
    ['scratch2', 'docker.io/library/scratch2:latest', 'scratch2:latest'],
    // What makes the first component a host: a dot, a port, `localhost`, an upper-case letter, brackets.
    ['a.b/c', 'a.b/c:latest', 'a.b/c:latest'],
    ['a:5000/c', 'a:5000/c:latest', 'a:5000/c:latest'],
    ['localhost/library/a', 'localhost/library/a:latest', 'localhost/library/a:latest'],
    ['localhostx/a', 'docker.io/localhostx/a:latest', 'localhostx/a:latest'],
    ['LOCALHOST/a', 'LOCALHOST/a:latest', 'LOCALHOST/a:latest'],
    ['localhost.localdomain/a', 'localhost.localdomain/a:latest', 'localhost.localdomain/a:latest'],
    ['localhost', 'docker.io/library/localhost:latest', 'localhost:latest'],
    ['localhost:5000', 'docker.io/library/localhost:5000', 'localhost:5000'],
    ['a.b', 'docker.io/library/a.b:latest', 'a.b:latest'],
    ['127.0.0.1/a', '127.0.0.1/a:latest', '127.0.0.1/a:latest'],
    ['127.0.0.1:5000/a', '127.0.0.1:5000/a:latest', '127.0.0.1:5000/a:latest'],
    ['[::1]/a', '[::1]/a:latest', '[::1]/a:latest'],
    ['[2001:db8::1]:443/a/b:t', '[2001:db8::1]:443/a/b:t', '[2001:db8::1]:443/a/b:t'],
    ['xn--n3h.com/a', 'xn--n3h.com/a:latest', 'xn--n3h.com/a:latest'],
    ['a-b.c-d.io/e', 'a-b.c-d.io/e:latest', 'a-b.c-d.io/e:latest'],
    ['1.2.3/a', '1.2.3/a:latest', '1.2.3/a:latest'],
    ['host:1/a', 'host:1/a:latest', 'host:1/a:latest'],
    ['host:65535/a', 'host:65535/a:latest', 'host:65535/a:latest'],
    ['host:0/a', 'host:0/a:latest', 'host:0/a:latest'],
    // Cloud registries.
    [
      '123456789012.dkr.ecr.eu-west-1.amazonaws.com/a/b:1',
      '123456789012.dkr.ecr.eu-west-1.amazonaws.com/a/b:1',
      '123456789012.dkr.ecr.eu-west-1.amazonaws.com/a/b:1',
    ],
    [
      'europe-docker.pkg.dev/project/repo/image',
      'europe-docker.pkg.dev/project/repo/image:latest',
      'europe-docker.pkg.dev/project/repo/image:latest',
    ],
    ['name.azurecr.io/a', 'name.azurecr.io/a:latest', 'name.azurecr.io/a:latest'],
    [
      'registry.gitlab.com/g/s/p/i:main',
      'registry.gitlab.com/g/s/p/i:main',
      'registry.gitlab.com/g/s/p/i:main',
    ],
    ['quay.io/o/i', 'quay.io/o/i:latest', 'quay.io/o/i:latest'],
    // Separators of path components.
    ['a.b/c.d', 'a.b/c.d:latest', 'a.b/c.d:latest'],
    ['x/a_b', 'docker.io/x/a_b:latest', 'x/a_b:latest'],
    ['x/a__b', 'docker.io/x/a__b:latest', 'x/a__b:latest'],
    ['x/a---b', 'docker.io/x/a---b:latest', 'x/a---b:latest'],
    ['x/a.b.c', 'docker.io/x/a.b.c:latest', 'x/a.b.c:latest'],
    ['x/1', 'docker.io/x/1:latest', 'x/1:latest'],
    // Tags and digests.
    ['a:1', 'docker.io/library/a:1', 'a:1'],
    ['a:A', 'docker.io/library/a:A', 'a:A'],
    ['a:v1.2.3-rc.1_x', 'docker.io/library/a:v1.2.3-rc.1_x', 'a:v1.2.3-rc.1_x'],
    ['a:1..2', 'docker.io/library/a:1..2', 'a:1..2'],
    ['a:1-', 'docker.io/library/a:1-', 'a:1-'],
    [`a:${'x'.repeat(128)}`, `docker.io/library/a:${'x'.repeat(128)}`, `a:${'x'.repeat(128)}`],
    [`h:1/a:t@${digest}`, `h:1/a:t@${digest}`, `h:1/a:t@${digest}`],
    [`h.io/a@${digest}`, `h.io/a@${digest}`, `h.io/a@${digest}`],
    [`docker.io/library/a@${digest}`, `docker.io/library/a@${digest}`, `a@${digest}`],
    ['a'.repeat(200), `docker.io/library/${'a'.repeat(200)}:latest`, `${'a'.repeat(200)}:latest`],
    ['a'.repeat(63), `docker.io/library/${'a'.repeat(63)}:latest`, `${'a'.repeat(63)}:latest`],
    [`${'a'.repeat(64)}x`, `docker.io/library/${'a'.repeat(64)}x:latest`, `${'a'.repeat(64)}x:latest`],
  ])('%s is %s', (text, full, short) => {
    const reference = parseReference(text);
    expect(formatReference(reference)).toBe(full);
    expect(familiarReference(reference)).toBe(short);
    expect(parseReference(full)).toEqual(reference);
    expect(parseReference(short)).toEqual(reference);
  });

  test.each([
    '',
    'Alpine',
    'a//b',
    '/a',
    'a/',
    'a:',
    'a:b:c',
    'a:-x',
    'a@sha256:12',
    `a@sha512:${'a'.repeat(128)}`,
    `a@${digest.toUpperCase()}`,
    '-a',
    'a..b',
    'a___b',
    'a b',
    'a\nb',
    '../etc/passwd',
    'a/../b',
    'host:99999/app',
    'ho_st.io/app',
    'user@host.io/app',
    `a:${'x'.repeat(129)}`,
    'a'.repeat(256),
    'a'.repeat(64),
    'https://ghcr.io/a',
    'http://localhost:5000/a',
    'docker://a',
    'oci:a/b:c:d',
    ' a',
    'a ',
    'a\t',
    'a\0b',
    'é',
    'a/é',
    'a:é',
    'Ａ',
    'a/B',
    'docker.io/User/app',
    'ghcr.io/Owner/app',
    '_a',
    '.a',
    'a.',
    'a_',
    'a-',
    'a._b',
    'a.-b',
    'a_-b',
    'a/.b',
    'a/b.',
    'x//',
    '/',
    '//a',
    ':',
    ':tag',
    '@',
    `@${digest}`,
    'a@',
    `a@@${digest}`,
    `a@${digest}@${digest}`,
    `a@${digest}:tag`,
    `a@sha256:${'A'.repeat(64)}`,
    `a@sha256:${'a'.repeat(63)}`,
    `a@sha256:${'a'.repeat(65)}`,
    `a@sha256:${'g'.repeat(64)}`,
    `a@SHA256:${'a'.repeat(64)}`,
    `a@sha256-${'a'.repeat(64)}`,
    'a@sha256:../../../etc/passwd',
    `a@sha384:${'a'.repeat(96)}`,
    'a:.',
    'a:.x',
    'a:x/y',
    'a:x y',
    'a::b',
    'h:port/a',
    'h:/a',
    'h:65536/a',
    'h:100000/a',
    ':5000/a',
    '[::1/a',
    '::1/a',
    '[::1]5000/a',
    '[g::1]/a',
    '-h.io/a',
    'h-.io/a',
    'h..io/a',
    '.io/a',
    'h.io./a',
    'h.io/',
    'a@b.io/c:d@e',
    'me:pw@h.io/a',
    'h.io/a?x',
    'h.io/a#x',
    'h.io/a%2fb',
    'h.io/a\\b',
    '..',
    '.',
    '~/a',
    `h.io/${'a'.repeat(251)}`,
    'a'.repeat(1001),
  ])('%j is refused', (text) => {
    expect(() => parseReference(text)).toThrow(BuildError);
    try {
      parseReference(text);
    } catch (error) {
      expect((error as BuildError).code).toBe('REFERENCE_INVALID');
    }
  });

  test('R-NAME-1: a name with the scheme of a URL is told as that', () => {
    for (const scheme of ['docker://', 'https://'])
      expect(() => parseReference(`${scheme}localhost:5000/a`)).toThrow(
        `is no image reference: a name has no \`${scheme}\` before it`,
      );
  });

  test('R-NAME-1: a digest of another algorithm is told as that', () => {
    expect(() => parseReference(`a@sha512:${'a'.repeat(128)}`)).toThrow(
      'digests of sha512 are not supported',
    );
  });

  test('R-NAME-1: any text is either refused or has one normal form', () => {
    const part = fc.stringMatching(/^[a-z0-9._:@/-]{0,20}$/);
    fc.assert(
      fc.property(fc.oneof(part, fc.string()), (text) => {
        let reference;
        try {
          reference = parseReference(text);
        } catch (error) {
          return error instanceof BuildError;
        }
        expect(parseReference(formatReference(reference))).toEqual(reference);
        expect(parseReference(familiarReference(reference))).toEqual(reference);
        return true;
      }),
      { numRuns: 500 },
    );
  });
});

test.each([
  ['localhost:5911', true],
  ['localhost:5911/', true],
  ['localhost', true],
  ['ghcr.io', true],
  ['registry.example:443', true],
  ['[::1]:5000', true],
  ['alpine', false],
  ['alpine:3', false],
  ['alpine:3.20', false],
  ['localhost:5911/a', false],
  ['user/app', false],
])('%s is a registry without a repository: %s', (text, alone) => {
  const refuse = (): void => refuseRegistryAlone(text);
  if (!alone) expect(refuse).not.toThrow();
  else
    expect(refuse).toThrow(
      expect.objectContaining({ code: 'REFERENCE_INVALID', hint: `write ${text.replace(/\/$/, '')}/NAME` }),
    );
});
