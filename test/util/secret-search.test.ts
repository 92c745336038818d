import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { needlesOf } from '../../src/util/secret-needles.ts';
import { SecretSearch } from '../../src/util/secret-search.ts';

const token = 'zq8+Lk/3vT!x w0rd';

function searchFor(value: string | Buffer): SecretSearch {
  return new SecretSearch(needlesOf('it', Buffer.from(value)));
}

function forms(value: string | Buffer | SecretSearch, text: string | Buffer): readonly string[] {
  const found: string[] = [];
  const search = value instanceof SecretSearch ? value : searchFor(value);
  search.stream(({ form }) => found.push(form))(Buffer.from(text));
  return found;
}

describe('M-16 the forms of a secret', () => {
  const bytes = Buffer.from(token);
  const long = Buffer.from(token.repeat(9));
  const dump = (text: string | Buffer, ...command: readonly [string, ...string[]]): string =>
    execFileSync(command[0], command.slice(1), { input: text, encoding: 'utf8' });

  it.each([
    ['as it is', `x${token}y`, 'plain'],
    ['broken over lines', 'zq8+Lk/3vT!x\n  w0rd', 'plain'],
    ['base64', `x ${bytes.toString('base64')}`, 'base64'],
    ['base64 of a text around it', Buffer.from(`a${token}bc`).toString('base64'), 'base64'],
    ['base64 of another text around it', Buffer.from(`ab${token}bc`).toString('base64'), 'base64'],
    ['base64 of URLs', Buffer.from(`ab${token}`).toString('base64url'), 'base64'],
    ['hex', bytes.toString('hex'), 'hex'],
    ['upper-case hex', bytes.toString('hex').toUpperCase(), 'hex'],
    ['a component of a URL', `?t=${encodeURIComponent(token)}&`, 'url'],
    [
      'a URL with lower-case escapes',
      encodeURIComponent(token).toLowerCase().replace('lk', 'Lk').replace('vt', 'vT'),
      'url',
    ],
    ['a URL with all escapes', bytes.toString('hex').replaceAll(/../g, '%$&'), 'url'],
  ])('finds it %s', (_, text, form) => {
    expect(forms(token, text)).toEqual([form]);
  });

  it('finds what base64, od and xxd write, in lines of whatever length', () => {
    expect(forms(long, dump(long, 'base64'))).toEqual(['base64']);
    expect(forms(long, dump(long, 'base64', '-w', '5'))).toEqual(['base64']);
    expect(forms(long, dump(`head ${long.toString()}`, 'base64'))).toEqual(['base64']);
    expect(forms(long, dump(long, 'od', '-An', '-tx1'))).toEqual(['hex']);
    expect(forms(long, dump(long, 'xxd', '-p'))).toEqual(['hex']);
  });

  it('leaves the line end that a file has at its end out', () => {
    expect(forms(`${token}\n`, `x=${token};`)).toEqual(['plain']);
  });

  it('finds a secret of any size, all bytes and 500 KiB included', () => {
    const big = Buffer.concat(
      Array.from({ length: 16_000 }, (_, at) => createHash('sha256').update(String(at)).digest()),
    );
    const search = searchFor(big);
    expect(forms(search, Buffer.concat([Buffer.from('..'), big]))).toEqual(['plain']);
    expect(forms(search, big.toString('base64'))).toEqual(['base64']);
    expect(forms(search, big.toString('hex'))).toEqual(['hex']);
    expect(forms(search, createHash('sha512').update('x').digest())).toEqual([]);
  });

  it('searches for nothing shorter than six bytes, which would be anywhere', () => {
    expect(forms('abcde', 'abcde')).toEqual([]);
    expect(forms('abcdef', 'abcdef')).toEqual(['plain']);
    expect(forms(' \n\t', ' \n\t')).toEqual([]);
    expect(forms('', '')).toEqual([]);
  });
});

describe('M-16 pieces of a secret', () => {
  it.each([
    ['a value', 'user=me\nDB_PASSWORD=correct-horse\nB=1', 'correct-horse'],
    ['a value in quotes', '{"name": "x", "api_token": "hunter22"}', 'hunter22'],
    ['an npmrc', 'registry=https://r.example/\n//r.example/:_authToken=npm_aB3dE5gH7j\n', 'npm_aB3dE5gH7j'],
    ['a netrc', 'machine x.example login me password hunter22\n', 'hunter22'],
    ['a URL', 'url = https://me:hunter22@x.example/a\nsecond', 'hunter22'],
    ['a line', 'someone\ncorrecthorsebattery\n', 'correcthorsebattery'],
    ['a random word', 'a x9Kd83jQm4Zp01Lw text', 'x9Kd83jQm4Zp01Lw'],
  ])('finds %s', (_, secret, piece) => {
    expect(forms(secret, `:${piece}:`)).toEqual(['plain']);
    expect(forms(secret, Buffer.from(piece).toString('base64'))).toEqual(['base64']);
  });

  it.each([
    [
      'an npmrc',
      'registry=https://registry.npmjs.org/\nalways-auth=true\n//r.example/:_authToken=npm_aB3dE5gH7j',
    ],
    [
      'a key of a service account',
      '{\n  "type": "service_account",\n  "auth_uri": "https://accounts.example.com/o/oauth2/auth",\n  "auth_provider_x509_cert_url": "https://www.example.com/oauth2/v1/certs",\n  "token_uri": "https://oauth2.example.com/token"\n}',
    ],
    ['settings', 'auth: required\ntokenType: password\n# a comment about the key\n/etc/ssl/certs/ca.pem\n'],
  ])('takes no innocent piece of %s', (_, secret) => {
    for (const line of secret.split('\n').slice(0, -1)) expect(forms(secret, line)).toEqual([]);
    for (const word of secret.split(/[\s"=:,]+/).filter((one) => !one.startsWith('npm_')))
      expect(forms(secret, word)).toEqual([]);
  });

  it('finds lines of a private key, none of its public key', () => {
    const pem = { type: 'pkcs8', format: 'pem' } as const;
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const published = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const secret = privateKey.export(pem).toString() + published;
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(pem).toString();
    expect(forms(secret, secret)).toEqual(['plain']);
    expect(forms(secret, secret.split('\n').slice(16, 19).join(' '))).toEqual(['plain']);
    expect(forms(secret, published)).toEqual([]);
    expect(forms(secret, other)).toEqual([]);
  });

  it('takes certificates for no secrets: images are full of them', () => {
    const block = (label: string, from: number): string =>
      `-----BEGIN ${label}-----\n${Array.from({ length: 20 }, (_, at) =>
        createHash('sha384')
          .update(String(from + at))
          .digest('base64'),
      ).join('\n')}\n-----END ${label}-----\n`;
    const authorities = `# Some_Authority\n${block('CERTIFICATE', 0)}Another_Authority_R2\n${block('CERTIFICATE', 20)}`;
    expect(forms(authorities, authorities)).toEqual([]);
    expect(forms(authorities, 'Another_Authority_R2')).toEqual([]);
    const key = block('EC PRIVATE KEY', 40);
    expect(forms(authorities + key, authorities)).toEqual([]);
    expect(forms(authorities + key, key)).toEqual(['plain']);
    expect(forms(authorities + key, Buffer.from(key).toString('base64'))).toEqual(['base64']);
  });

  it('reads a long secret in a moment', () => {
    for (const part of [
      'key',
      '-----BEGIN A-----',
      'a:',
      '://a',
      'machine ',
      'aB3',
      '-----BEGIN A-----x-----END A-----\n',
    ]) {
      const needles = needlesOf('it', Buffer.from(part.repeat(500_000 / part.length)));
      expect(needles.length).toBeLessThan(1000);
    }
  });
});
