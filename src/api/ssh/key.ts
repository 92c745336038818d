import type { JsonWebKey, KeyObject } from 'node:crypto';
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { readOpenSshKey } from './openssh-key.ts';
import { wireInteger, wireString } from './wire.ts';

/** A private key that signs for ssh. */
export interface SshKey {
  /** As in a line of authorized_keys, before base64. */
  readonly publicBlob: Buffer;
  /** @param flags of the agent protocol. undefined: a signature with SHA-1 was asked for, which nobody should take. */
  sign(data: Uint8Array, flags: number): Promise<Buffer | undefined>;
}

/** Why a file gives no key; the message goes on after the file's name. */
export class KeyProblem extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

const agentHint = 'load it into an agent (ssh-add), and hand that over: --ssh default';

/** Reads a private key: PEM (PKCS#1, PKCS#8, SEC 1) or the format of OpenSSH; ed25519, RSA or ECDSA. Throws KeyProblem. */
export function parseSshKey(text: string): SshKey {
  const key = /-----BEGIN OPENSSH PRIVATE KEY-----/.test(text) ? fromOpenSsh(text) : fromPem(text);
  const kind = kindOf(key);
  if (!signs(key, kind)) throw new KeyProblem('is damaged: its parts do not belong together');
  return {
    publicBlob: kind.publicBlob,
    async sign(data, flags) {
      const name = kind.signature(flags);
      if (name === undefined) return undefined;
      const bytes = await signature(kind.hash(flags), data, key);
      return Buffer.concat([wireString(name), wireString(kind.encode(bytes))]);
    },
  };
}

/** A damaged file may hold numbers that do not belong together, or with which nothing can be reckoned. */
function signs(key: KeyObject, kind: KeyKind): boolean {
  const probe = Buffer.from('tsbuild');
  try {
    return verify(kind.hash(0), probe, createPublicKey(key), sign(kind.hash(0), probe, key));
  } catch {
    return false;
  }
}

function encrypted(): KeyProblem {
  return new KeyProblem('is encrypted with a passphrase, and nobody is asked for one', agentHint);
}

function fromOpenSsh(text: string): KeyObject {
  const found = readOpenSshKey(text);
  if (found.kind === 'key') return createKey({ key: found.jwk, format: 'jwk' });
  if (found.kind === 'encrypted') throw encrypted();
  if (found.kind === 'damaged') throw new KeyProblem('is damaged: it is no private key of OpenSSH');
  throw new KeyProblem(`is a key of type ${found.type}, which needs its device or is out of use`, agentHint);
}

function fromPem(text: string): KeyObject {
  if (/^(?:ssh-|ecdsa-|sk-)\S+ AAAA|-----BEGIN (?:PUBLIC KEY|CERTIFICATE)|BEGIN SSH2 PUBLIC KEY/m.test(text))
    throw new KeyProblem('is a public key', 'give the private one');
  if (text.startsWith('PuTTY-User-Key-File'))
    throw new KeyProblem('is a key of PuTTY', 'convert it: puttygen FILE -O private-openssh -o NEW');
  if (!/-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/.test(text))
    throw new KeyProblem('is neither a private key nor an agent’s socket');
  if (/^Proc-Type: 4,ENCRYPTED|-----BEGIN ENCRYPTED/m.test(text)) throw encrypted();
  return createKey({ key: text, format: 'pem' });
}

function createKey(input: { key: string; format: 'pem' } | { key: JsonWebKey; format: 'jwk' }): KeyObject {
  try {
    // Two calls, since the types of Node have no union of these.
    return input.format === 'jwk'
      ? createPrivateKey({ key: input.key, format: 'jwk' })
      : createPrivateKey({ key: input.key, format: 'pem' });
  } catch (error) {
    throw new KeyProblem(`is damaged: ${(error as Error).message}`);
  }
}

interface KeyKind {
  readonly publicBlob: Buffer;
  /** The name of the signature that the agent's flags ask for. */
  signature(flags: number): string | undefined;
  hash(flags: number): string | null;
  /** From what Node makes to what SSH wants. */
  encode(signature: Buffer): Buffer;
}

const RSA_SHA2_256 = 2;
const RSA_SHA2_512 = 4;

/** Curves of SSH (RFC 5656) by their names in JWK. */
const curves: Readonly<Record<string, { readonly name: string; readonly hash: string }>> = {
  'P-256': { name: 'nistp256', hash: 'sha256' },
  'P-384': { name: 'nistp384', hash: 'sha384' },
  'P-521': { name: 'nistp521', hash: 'sha512' },
};

function kindOf(key: KeyObject): KeyKind {
  const type = key.asymmetricKeyType ?? 'unknown';
  const jwk = ['ed25519', 'rsa', 'ec'].includes(type) ? publicJwk(key) : {};
  const part = (name: 'x' | 'y' | 'n' | 'e'): Buffer => Buffer.from(jwk[name] ?? '', 'base64url');
  if (type === 'ed25519') {
    const name = 'ssh-ed25519';
    return {
      publicBlob: Buffer.concat([wireString(name), wireString(part('x'))]),
      signature: () => name,
      hash: () => null,
      encode: (bytes) => bytes,
    };
  }
  if (type === 'rsa') {
    const large = (flags: number): boolean => (flags & RSA_SHA2_512) !== 0;
    return {
      publicBlob: Buffer.concat([wireString('ssh-rsa'), wireInteger(part('e')), wireInteger(part('n'))]),
      signature: (flags) =>
        large(flags) ? 'rsa-sha2-512' : (flags & RSA_SHA2_256) !== 0 ? 'rsa-sha2-256' : undefined,
      hash: (flags) => (large(flags) ? 'sha512' : 'sha256'),
      encode: (bytes) => bytes,
    };
  }
  const curve = curves[jwk.crv ?? ''];
  if (curve === undefined)
    throw new KeyProblem(`is a key of type ${jwk.crv ?? type}, which ssh does not know`);
  const name = `ecdsa-sha2-${curve.name}`;
  const point = Buffer.concat([Buffer.of(4), part('x'), part('y')]);
  return {
    publicBlob: Buffer.concat([wireString(name), wireString(curve.name), wireString(point)]),
    signature: () => name,
    hash: () => curve.hash,
    encode: (bytes) => {
      const half = bytes.length / 2;
      return Buffer.concat([wireInteger(bytes.subarray(0, half)), wireInteger(bytes.subarray(half))]);
    },
  };
}

function publicJwk(key: KeyObject): JsonWebKey {
  try {
    return createPublicKey(key).export({ format: 'jwk' });
  } catch {
    // A curve that JWK has no name for.
    return {};
  }
}

/** Off the event loop; ECDSA as two numbers of equal length. */
function signature(hash: string | null, data: Uint8Array, key: KeyObject): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    sign(hash, data, { key, dsaEncoding: 'ieee-p1363' }, (error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(error);
    });
  });
}
