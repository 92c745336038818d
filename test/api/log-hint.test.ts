import { expect, test } from 'vitest';
import { logHint, OutputEnd } from '../../src/api/runners/log-hint.ts';

const step = (command: string, content?: string) => ({
  args: ['/bin/sh', '-c', command],
  files: content === undefined ? [] : [{ path: '/dev/pipes/E', content, mode: 0o755 }],
});
const authority = 'a proxy may break up TLS: give its certificate with --ca FILE';
const update = 'put `apt-get update` into the same RUN, before `apt-get install`';

test.each([
  ['npm', 'npm error code SELF_SIGNED_CERT_IN_CHAIN'],
  ['npm 18', 'npm ERR! request to https://x failed, reason: self-signed certificate in certificate chain'],
  ['yarn', 'Error: unable to get local issuer certificate UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  ['node', 'Error: unable to verify the first certificate'],
  ['curl', 'curl: (60) SSL certificate problem: unable to get local issuer certificate'],
  [
    'git',
    "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none CRLfile: none",
  ],
  [
    'pip',
    'SSLError(SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate',
  ],
  ['busybox wget', 'error:0A000086:SSL routines::certificate verify failed'],
  ['wget', "Unable to locally verify the issuer's authority."],
  ['go', 'tls: failed to verify certificate: x509: certificate signed by unknown authority'],
  ['apt', 'Certificate verification failed: The certificate is NOT trusted.'],
])('what %s says of an unknown authority hints at --ca, unless it was given', (_, text) => {
  expect(logHint(`before\n${text}\nafter\n`, step('x'), undefined)).toBe(authority);
  expect(logHint(text, step('x'), 'PEM')).toBeUndefined();
});

test.each([
  'certificate verify failed: certificate has expired (_ssl.c:1007)',
  'certificate verify failed: Hostname mismatch, certificate is not valid',
  'curl: (60) SSL certificate problem: certificate has expired',
  'make: *** [all] Error 1',
])('no proxy is to blame for: %s', (text) => {
  expect(logHint(text, step('x'), undefined)).toBeUndefined();
});

test('a package that apt does not find, without its lists', () => {
  const text = 'Reading package lists...\nE: Unable to locate package curl\n';
  expect(logHint(text, step('apt-get install -y curl'), 'PEM')).toBe(update);
  expect(logHint(text, step('<<E', 'apt install curl'), undefined)).toBe(update);
  expect(logHint(text, step('apt-get -qq update && apt-get install curl'), undefined)).toBeUndefined();
  expect(
    logHint(text, step('<<E', '#!/bin/sh\napt-get update\napt install curl'), undefined),
  ).toBeUndefined();
  expect(logHint(text, step('./install.sh'), undefined)).toBeUndefined();
});

test('the end of the output is kept, however it comes', () => {
  const pieces = new OutputEnd();
  const whole = 'x'.repeat(50_000) + '0123456789'.repeat(10_000);
  for (const byte of Buffer.from(whole)) pieces.push(Uint8Array.of(byte));
  expect(pieces.text()).toBe(whole.slice(-16_384));
  const reused = Buffer.from('first');
  const one = new OutputEnd();
  one.push(reused);
  reused.write('XXXXX');
  one.push(Buffer.from(', second'));
  expect(one.text()).toBe('first, second');
  one.push(Buffer.from(whole));
  expect(one.text()).toBe(whole.slice(-16_384));
});
