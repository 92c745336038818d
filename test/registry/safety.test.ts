import { expect, test } from 'vitest';
import { isTrustedRealm, safeRealm, safeTarget } from '../../src/registry/safety.ts';

const at = (base: string, name = new URL(base).host): { name: string; base: URL } => ({
  name,
  base: new URL(base),
});
const unsafe = expect.objectContaining({ code: 'REGISTRY_UNSAFE' });

test.each([
  ['https://ghcr.io', 'https://cdn.example.com/blob?sig=1'],
  ['https://ghcr.io', '/v2/x'],
  ['https://ghcr.io', '//other.example/x'],
  ['http://127.0.0.1:5000', 'http://127.0.0.1:6000/x'],
  ['http://127.0.0.1:5000', 'http://172.18.0.2:9000/x'],
  ['https://10.0.0.1', 'https://10.0.0.1:9000/x'],
])('R-AUTH-9: %s may send us to %s', (base, location) => {
  expect(safeTarget(location, new URL('/v2/a', base), at(base)).href).toBe(new URL(location, base).href);
});

test.each([
  ['https://ghcr.io', 'http://ghcr.io/x'],
  ['https://ghcr.io', 'http://cdn.example.com/x'],
  ['https://ghcr.io', 'https://169.254.169.254/latest/meta-data'],
  ['https://ghcr.io', 'https://0x7f.1/x'],
  ['https://ghcr.io', 'https://localhost/x'],
  ['https://ghcr.io', 'https://[::ffff:10.0.0.1]/x'],
  ['https://10.0.0.1', 'https://10.0.0.2/x'],
  ['http://127.0.0.1:5000', 'http://169.254.169.254/latest/meta-data'],
  ['http://localhost:5000', 'http://[fe80::1]/x'],
  ['http://localhost:5000', 'http://[::ffff:169.254.169.254]/x'],
  ['http://localhost:5000', 'http://[fd00:ec2::254]/x'],
  ['https://ghcr.io', 'file:///etc/passwd'],
  ['https://ghcr.io', 'https://'],
])('R-AUTH-9: %s may not send us to %s', (base, location) => {
  expect(() => safeTarget(location, new URL('/v2/a', base), at(base))).toThrow(unsafe);
});

test('R-AUTH-9: user and password of a redirect are dropped', () => {
  const target = safeTarget(
    'https://me:pw@cdn.example.com/x',
    new URL('https://ghcr.io'),
    at('https://ghcr.io'),
  );
  expect(target.href).toBe('https://cdn.example.com/x');
});

test.each([
  ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
  ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token'],
  ['http://localhost:5000', 'http://127.0.0.1:5001/token'],
  ['https://10.0.0.1', 'https://10.0.0.1:8443/token'],
])('R-AUTH-9: %s may have its tokens at %s', (base, realm) => {
  expect(safeRealm(realm, at(base), []).href).toBe(realm);
});

test.each([
  ['https://ghcr.io', 'http://ghcr.io/token'],
  ['https://ghcr.io', 'http://127.0.0.1/token'],
  ['https://ghcr.io', 'https://127.0.0.1/token'],
  ['https://ghcr.io', 'https://192.168.0.1/token'],
  ['https://ghcr.io', 'https://[fe80::1]/token'],
  ['https://ghcr.io', 'https://u:p@ghcr.io/token'],
  ['https://ghcr.io', 'ftp://ghcr.io/token'],
  ['https://ghcr.io', '/token'],
  ['https://ghcr.io', ''],
  ['http://10.0.0.1:5000', 'http://10.0.0.2/token'],
  ['http://localhost:5000', 'http://169.254.169.254/token'],
])('R-AUTH-9: %s may not have its tokens at %s', (base, realm) => {
  expect(() => safeRealm(realm, at(base), [])).toThrow(unsafe);
});

test.each([
  ['https://registry-1.docker.io', 'https://auth.docker.io/token', true],
  ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth', true],
  ['https://gitlab.example.com:5050', 'https://gitlab.example.com/jwt/auth', true],
  ['https://registry.example.co.uk', 'https://auth.example.co.uk/t', true],
  ['https://registry.example.co.uk', 'https://evil.co.uk/t', false],
  ['https://registry.example.com', 'https://evil.com/t', false],
  ['https://registry.example.com', 'https://registry.example.com.evil.com/t', false],
  ['https://mine.azurecr.io', 'https://yours.azurecr.io/t', false],
  ['https://mine.azurecr.io', 'https://mine.azurecr.io/t', true],
  ['https://ghcr.io', 'https://auth.docker.io/token', false],
  ['https://8.8.8.8', 'https://9.8.8.8/t', false],
  ['http://127.0.0.1:5000', 'http://localhost:5001/t', false],
])('R-AUTH-9: %s: credentials may go to %s: %s', (base, realm, trusted) => {
  expect(isTrustedRealm(new URL(realm), at(base), [])).toBe(trusted);
});

test('R-AUTH-9: the user may trust a realm', () => {
  const place = at('https://registry.example.com');
  expect(isTrustedRealm(new URL('https://sso.example.net/t'), place, ['sso.example.net'])).toBe(true);
  expect(isTrustedRealm(new URL('https://sso.example.net:1/t'), place, ['sso.example.net:2'])).toBe(false);
});
