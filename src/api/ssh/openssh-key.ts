import type { JsonWebKey } from 'node:crypto';
import { WireReader, withoutZeros } from './wire.ts';

// The private key files of OpenSSH (PROTOCOL.key), which OpenSSL does not read.

export type OpenSshKey =
  | { readonly kind: 'key'; readonly jwk: JsonWebKey }
  | { readonly kind: 'encrypted' }
  | { readonly kind: 'damaged' }
  /** Of a type that is not for us: of a security key, DSA. */
  | { readonly kind: 'unknown'; readonly type: string };

const MAGIC = 'openssh-key-v1\0';
/** Curves by their names in SSH: name in JWK, bytes of a number. */
const curves: Readonly<Record<string, { readonly crv: string; readonly size: number }>> = {
  nistp256: { crv: 'P-256', size: 32 },
  nistp384: { crv: 'P-384', size: 48 },
  nistp521: { crv: 'P-521', size: 66 },
};

/** Reads the first such key in a text. Whether its numbers belong together is not looked at. */
export function readOpenSshKey(text: string): OpenSshKey {
  const [, body = ''] =
    /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END OPENSSH PRIVATE KEY-----/.exec(text) ??
    [];
  try {
    return read(new WireReader(Buffer.from(body, 'base64')));
  } catch (error) {
    if (error instanceof RangeError) return { kind: 'damaged' };
    throw error;
  }
}

function read(file: WireReader): OpenSshKey {
  if (file.take(MAGIC.length).toString('latin1') !== MAGIC) return { kind: 'damaged' };
  const cipher = file.text();
  file.string(); // the key derivation
  file.string(); // its options
  if (file.uint32() !== 1) return { kind: 'damaged' };
  file.string(); // the public key
  if (cipher !== 'none') return { kind: 'encrypted' };
  const secret = new WireReader(file.string());
  // Two equal numbers show that it was decrypted with the right passphrase.
  if (secret.uint32() !== secret.uint32()) return { kind: 'damaged' };
  const type = secret.text();
  if (type === 'ssh-ed25519') return { kind: 'key', jwk: ed25519(secret) };
  if (type === 'ssh-rsa') return { kind: 'key', jwk: rsa(secret) };
  const curve = curves[type.replace(/^ecdsa-sha2-/, '')];
  return curve === undefined ? { kind: 'unknown', type } : { kind: 'key', jwk: ecdsa(secret, curve) };
}

function ed25519(secret: WireReader): JsonWebKey {
  const x = secret.string();
  // The seed, and once more the public key.
  const d = secret.string().subarray(0, 32);
  return { kty: 'OKP', crv: 'Ed25519', x: url(x), d: url(d) };
}

function rsa(secret: WireReader): JsonWebKey {
  const [n, e, d, qi, p, q] = [0, 1, 2, 3, 4, 5].map(() => withoutZeros(secret.string())) as [
    ...[Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array],
  ];
  const rest = (prime: Uint8Array): Uint8Array => {
    const modulus = number(prime) - 1n;
    if (modulus <= 0n) throw new RangeError('no prime');
    const hex = (number(d) % modulus).toString(16);
    return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  };
  const parts = { n, e, d, p, q, dp: rest(p), dq: rest(q), qi };
  return {
    kty: 'RSA',
    ...Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, url(value)])),
  };
}

function ecdsa(
  secret: WireReader,
  { crv, size }: { readonly crv: string; readonly size: number },
): JsonWebKey {
  secret.string(); // the curve once more
  const point = secret.string();
  const scalar = withoutZeros(secret.string());
  // 4: both coordinates follow.
  if (point[0] !== 4 || point.length !== 1 + 2 * size || scalar.length > size)
    throw new RangeError('no point');
  const d = Buffer.concat([Buffer.alloc(size - scalar.length), scalar]);
  return { kty: 'EC', crv, x: url(point.subarray(1, 1 + size)), y: url(point.subarray(1 + size)), d: url(d) };
}

function number(bytes: Uint8Array): bigint {
  return BigInt(`0x0${Buffer.from(bytes).toString('hex')}`);
}

function url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
