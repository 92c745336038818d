import { expect, test } from 'vitest';
import type { CommonOptions, ImageSummary } from '../../src/index.ts';
import { runCli } from './fake-context.ts';

function image(letter: string, name: string | undefined): ImageSummary {
  const digest = `sha256:${letter.repeat(64)}` as const;
  return {
    name,
    digest,
    imageId: digest,
    created: undefined,
    size: 1,
    platform: undefined,
  } as unknown as ImageSummary;
}
const library = {
  listImages: () =>
    Promise.resolve([
      image('a', 'docker.io/library/app:1'),
      image('b', 'docker.io/library/app:2'),
      image('c', 'ghcr.io/me/app:1'),
      image('d', undefined),
    ]),
};

test.each([
  [[], 'abcd'],
  [['-f', 'dangling=true'], 'd'],
  [['--filter', 'dangling=false'], 'abc'],
  [['app'], 'ab'],
  [['docker.io/library/app'], 'ab'],
  [['app:2'], 'b'],
  [['ghcr.io/me/app'], 'c'],
  [['me/app'], ''],
  [['<none>'], ''],
  [['-f', 'dangling=true', 'app'], ''],
])('images -q %j', async (words, letters) => {
  const { stdout, status } = await runCli(['images', '-q', ...words], { library });
  expect(status).toBe(0);
  expect(stdout).toBe(letters.replaceAll(/./g, (letter) => `${letter.repeat(12)}\n`));
});

test('a filter that is none is told', async () => {
  const { stderr, status } = await runCli(['images', '-f', 'before=x'], { library });
  expect(status).toBe(2);
  expect(stderr).toContain('dangling=true');
});

test('what is no image is told beside the list', async () => {
  const telling = {
    listImages: (options: CommonOptions = {}) => {
      const diagnostic = {
        severity: 'note',
        rule: 'NoImage',
        message: '`x` is no image\n\u001b[2J',
      } as const;
      options.onEvent?.({ type: 'diagnostic', diagnostic });
      return library.listImages();
    },
  };
  const { stdout, stderr, status } = await runCli(['images', '-q'], { library: telling });
  expect([status, stdout.split('\n').length]).toEqual([0, 5]);
  expect(stderr).toMatch(/^note: `x` is no image.*\n$/);
  expect(stderr).not.toContain('\u001b');
});
