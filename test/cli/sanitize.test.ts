import { describe, expect, test } from 'vitest';
import { codeFrame } from '../../src/cli/frame.ts';
import { styleFor } from '../../src/cli/style.ts';
import { jsonText, sanitize, sanitizeKeepingColor, sanitizeLine } from '../../src/cli/sanitize.ts';

describe('hostile text on a terminal', () => {
  test.each([
    ['a title of the window', 'a\u001B]0;owned\u0007b', 'ab'],
    ['a cursor that goes back', 'a\u001B[2Ab', 'ab'],
    ['an unfinished sequence ends with its line', 'a\u001B]0;x\nb', 'a\nb'],
    ['one of C1', 'a\u009B31mb', 'ab'],
    ['text in another order than it is', 'a\u202Eb\u2066c\u2069', 'abc'],
    ['marks of languages that need them stay', 'a\u200Fב', 'a\u200Fב'],
  ])('%s', (_name, text, clean) => {
    expect(sanitize(text)).toBe(clean);
  });

  test('colours may stay, and end', () => {
    expect(sanitizeKeepingColor('\u001B[31mred\u001B[2J\u202E')).toBe('\u001B[31mred\u001B[0m');
    expect(sanitizeLine('a\nb\tc')).toBe('a b c');
  });

  test('the frame shows that something is there', () => {
    const source = { name: 'Dockerfile', text: 'RUN a\u202Eb' };
    const range = { start: { line: 1, column: 1 }, end: { line: 1, column: 8 } };
    expect(codeFrame({ source, range }, styleFor(false))).toContain('RUN a�b');
  });
});

test('a lone carriage return is no line end: lines are counted as the parser counts them', () => {
  const source = { name: 'Dockerfile', text: 'FROM a\r\nRUN x\ry\r\nRNU z\r\n' };
  const range = { start: { line: 3, column: 1 }, end: { line: 3, column: 4 } };
  expect(codeFrame({ source, range }, styleFor(false))).toBe('  ┌─ Dockerfile:3:1\n3 │ RNU z\n  │ ^^^\n');
});

test('JSON that is too deep to be written is the fault of who made it', () => {
  const deep: unknown = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
  expect(() => jsonText(deep)).toThrow(expect.objectContaining({ code: 'IMAGE_INVALID' }));
});
