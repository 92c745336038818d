import { expect, test } from 'vitest';
import { redactText, redactUrl } from '../../src/util/redact.ts';

test('a URL loses user, query values and fragment', () => {
  expect(redactUrl('https://me:pw@host:5000/v2/a?X-Amz-Signature=abc#x')).toBe('https://host:5000/v2/a?…');
  expect(redactUrl('https://host/v2/')).toBe('https://host/v2/');
  expect(redactUrl('not a url?token=1')).toBe('not a url?…');
});

test('text of strangers cannot drive a terminal or leak secrets', () => {
  expect(redactText('a\u001b[31mred\u0007\nnext\u202e')).toBe('a [31mred next');
  expect(redactText('see https://me:pw@host/x?token=1 now')).toBe('see https://host/x?… now');
  expect(redactText('Authorization: Bearer abcdefghijkl')).toBe('Authorization: Bearer ****');
  expect(redactText('it is hunter22', ['hunter22'])).toBe('it is ****');
  expect(redactText('x'.repeat(600))).toHaveLength(501);
});

test('a long text of strangers takes linear time', () => {
  for (const piece of ['a.', 'http://', 'https://a?', 'bearer ', '://'])
    expect(redactText(piece.repeat(400_000)).length).toBeLessThanOrEqual(501);
});

test('what is taken out is the same wherever it stands', () => {
  expect(redactText('(ssh://me:pw@host:22/x) and https://host/x? and http://a?b=http://c?d')).toBe(
    '(ssh://host:22/x) and https://host/x? and http://a?…',
  );
});
