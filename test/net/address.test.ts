import { expect, test } from 'vitest';
import { isLoopbackHost, isPrivateHost } from '../../src/net/address.ts';

test.each(['127.0.0.1', '127.9.9.9', 'localhost', 'LOCALHOST', 'a.localhost', '[::1]', '[::ffff:7f00:1]'])(
  '%s is this machine',
  (host) => {
    expect(isLoopbackHost(host)).toBe(true);
  },
);

test.each(['128.0.0.1', 'localhost.example.com', '127.0.0.1.example.com', '[::2]', 'example.com', ''])(
  '%s is not this machine',
  (host) => {
    expect(isLoopbackHost(host)).toBe(false);
  },
);

test.each([
  '10.1.2.3',
  '172.31.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '[fe80::1]',
  '[fd00::1]',
  '[::ffff:a9fe:a9fe]',
  '[::]',
  '255.255.255.255',
])('%s is private', (host) => {
  expect(isPrivateHost(host)).toBe(true);
});

test.each(['8.8.8.8', '172.32.0.1', '[2606:4700::1]', 'internal.example.com'])('%s is public', (host) => {
  expect(isPrivateHost(host)).toBe(false);
});

test('every spelling of an address in a URL is seen through', () => {
  for (const text of [
    'http://0x7f.1/',
    'http://2130706433/',
    'http://0177.0.0.1/',
    'http://[::ffff:127.0.0.1]/',
  ]) {
    expect(isLoopbackHost(new URL(text).hostname)).toBe(true);
  }
});
