import type { JsonWebKey, KeyObject } from 'node:crypto';
import { createPublicKey } from 'node:crypto';
import { wireInteger, wireString, wireUint32 } from '../../src/api/ssh/wire.ts';

/** What a private key file of OpenSSH is made of; a test may put other things in their place. */
export interface OpenSshParts {
  readonly cipher: string;
  readonly count: number;
  readonly checks: readonly [number, number];
  readonly publicBlob: Buffer;
  /** From the type on, without the comment. */
  readonly secret: Buffer;
}

/** The parts of a key's file, as ssh-keygen would write them. */
export function openSshParts(key: KeyObject): OpenSshParts {
  const jwk = key.export({ format: 'jwk' });
  return { cipher: 'none', count: 1, checks: [7, 7], ...fields(jwk) };
}

function fields(jwk: JsonWebKey): { publicBlob: Buffer; secret: Buffer } {
  const part = (name: 'x' | 'y' | 'd' | 'n' | 'e' | 'p' | 'q' | 'qi'): Buffer =>
    Buffer.from(jwk[name] ?? '', 'base64url');
  const numbers = (...names: Parameters<typeof part>[0][]): Buffer[] =>
    names.map((name) => wireInteger(part(name)));
  if (jwk.kty === 'OKP') {
    const start = [wireString('ssh-ed25519'), wireString(part('x'))];
    return {
      publicBlob: Buffer.concat(start),
      secret: Buffer.concat([...start, wireString(Buffer.concat([part('d'), part('x')]))]),
    };
  }
  if (jwk.kty === 'RSA')
    return {
      publicBlob: Buffer.concat([wireString('ssh-rsa'), ...numbers('e', 'n')]),
      secret: Buffer.concat([wireString('ssh-rsa'), ...numbers('n', 'e', 'd', 'qi', 'p', 'q')]),
    };
  const curve = `nistp${(jwk.crv ?? '').slice(2)}`;
  const point = Buffer.concat([Buffer.of(4), part('x'), part('y')]);
  const start = [wireString(`ecdsa-sha2-${curve}`), wireString(curve), wireString(point)];
  return { publicBlob: Buffer.concat(start), secret: Buffer.concat([...start, ...numbers('d')]) };
}

/** The bytes of the file, before base64. */
export function openSshBytes(parts: OpenSshParts): Buffer {
  const secret = Buffer.concat([...parts.checks.map(wireUint32), parts.secret, wireString('a comment')]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1));
  return Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...[wireString(parts.cipher), wireString('none'), wireString('')],
    ...[wireUint32(parts.count), wireString(parts.publicBlob)],
    wireString(Buffer.concat([secret, padding])),
  ]);
}

export function openSshFile(bytes: Buffer): string {
  const lines = bytes.toString('base64').replaceAll(/.{1,70}/g, '$&\n');
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}-----END OPENSSH PRIVATE KEY-----\n`;
}

export function publicBlob(key: KeyObject): Buffer {
  return fields({ ...createPublicKey(key).export({ format: 'jwk' }) }).publicBlob;
}
