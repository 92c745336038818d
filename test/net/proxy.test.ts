import { expect, test } from 'vitest';
import { proxyFor } from '../../src/net/proxy.ts';

const proxy = 'http://proxy.example:3128';
const choose = (url: string, env: NodeJS.ProcessEnv): string | undefined => proxyFor(new URL(url), env)?.href;

test('R-TLS-1: the scheme decides which variable counts, lower case first', () => {
  const env = { HTTPS_PROXY: proxy, http_proxy: 'plain.example:80', HTTP_PROXY: 'http://unused.example' };
  expect(choose('https://ghcr.io/v2/', env)).toBe('http://proxy.example:3128/');
  expect(choose('http://ghcr.io/v2/', env)).toBe('http://plain.example/');
  expect(choose('https://ghcr.io/', {})).toBeUndefined();
  expect(choose('https://ghcr.io/', { all_proxy: proxy })).toBe('http://proxy.example:3128/');
});

test.each([
  ['https://ghcr.io/', 'ghcr.io', false],
  ['https://a.ghcr.io/', 'ghcr.io', false],
  ['https://aghcr.io/', 'ghcr.io', true],
  ['https://ghcr.io/', '.ghcr.io', true],
  ['https://a.ghcr.io/', '.ghcr.io', false],
  ['https://ghcr.io/', '*', false],
  ['https://ghcr.io:5000/', 'ghcr.io:443', true],
  ['https://ghcr.io:5000/', 'x, ghcr.io:5000', false],
  ['https://10.1.2.3/', '10.0.0.0/8', false],
  ['https://11.1.2.3/', '10.0.0.0/8', true],
  ['https://[fd00::1]/', 'fd00::/8', false],
  ['https://127.0.0.1:5000/', '', false],
  ['https://localhost/', '', false],
  ['https://GHCR.io/', 'ghcr.IO', false],
  ['https://ghcr.io./', 'ghcr.io', false],
  ['https://ghcr.io/', '*.ghcr.io', true],
  ['https://a.ghcr.io/', '*.ghcr.io', false],
  ['https://ghcr.io/', 'a,,b  c', true],
  ['https://ghcr.io/', ' , ghcr.io ,', false],
  ['https://ghcr.io/', 'ghcr.io:', true],
  ['https://ghcr.io/', 'ghcr.io:443', false],
  ['https://a.ghcr.io:5000/', '.ghcr.io:5000', false],
  ['https://10.1.2.3:5000/', '10.1.2.3', false],
  ['https://10.1.2.3:5000/', '10.1.2.3:443', true],
  ['https://10.1.2.3/', '10.1.2', true],
  ['https://10.1.2.3/', '10.1.2.3/32', false],
  ['https://10.1.2.4/', '10.1.2.3/32', true],
  ['https://10.1.2.3/', '0.0.0.0/0', false],
  ['https://10.1.2.3/', '10.0.0.0/33', true],
  ['https://10.1.2.3/', '10.0.0.0/x', true],
  ['https://10.1.2.3/', 'fd00::/8', true],
  ['https://[fd00::1]/', 'fd00::1', false],
  ['https://[fd00::1]:5000/', '[fd00::1]:5000', false],
  ['https://[fd00::1]:5000/', '[fd00::1]:443', true],
  ['https://[fe00::1]/', 'fd00::/8', true],
  ['https://10.example.com/', '10.0.0.0/8', true],
])('%s with NO_PROXY=%s goes through the proxy: %s', (url, list, used) => {
  expect(choose(url, { https_proxy: proxy, no_proxy: list }) !== undefined).toBe(used);
});

test.each(['ftp://proxy.example', 'file:///etc/passwd', 'http://me:pass%zzword@proxy.example'])(
  '%s is no proxy, and its password is in no message',
  (value) => {
    expect(() => choose('https://ghcr.io/', { HTTPS_PROXY: value })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.not.stringContaining('word@') as string,
      }),
    );
  },
);
