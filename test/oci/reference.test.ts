import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { familiarReference, formatReference, parseReference } from '../../src/oci/reference.ts';
import { BuildError } from '../../src/util/build-error.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

describe('parseReference', () => {
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
  ])('%j is refused', (text) => {
    expect(() => parseReference(text)).toThrow(BuildError);
    try {
      parseReference(text);
    } catch (error) {
      expect((error as BuildError).code).toBe('REFERENCE_INVALID');
    }
  });

  test('any text is either refused or has one normal form', () => {
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
