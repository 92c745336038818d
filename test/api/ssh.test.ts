import type { KeyObject } from 'node:crypto';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeyProblem, parseSshKey } from '../../src/api/ssh/key.ts';
import { openSshSockets } from '../../src/api/ssh/sockets.ts';
import { WireReader, wireString, wireUint32 } from '../../src/api/ssh/wire.ts';
import { readMessages, sendMessage } from '../../src/util/agent-protocol.ts';
import { connectTo } from '../../src/util/unix-socket.ts';
import { tempFolder } from '../support/temp.ts';
import { openSshBytes, openSshFile, openSshParts, publicBlob } from './ssh-keys.ts';

const keys: Readonly<Record<string, KeyObject>> = {
  ed25519: generateKeyPairSync('ed25519').privateKey,
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey,
};
const ed25519 = keys['ed25519'] ?? expect.fail();
const rsa = keys['rsa'] ?? expect.fail();
const openSsh = (key: KeyObject): string => openSshFile(openSshBytes(openSshParts(key)));
const pem = (key: KeyObject, type: 'pkcs1' | 'pkcs8' | 'sec1' = 'pkcs8'): string =>
  String(key.export({ type, format: 'pem' } as { type: 'pkcs8'; format: 'pem' }));

/** Hash and name of a signature for each way to ask for one. */
const signatures: Readonly<Record<string, readonly (readonly [number, string | null, string])[]>> = {
  ed25519: [[0, null, 'ssh-ed25519']],
  rsa: [
    [2, 'sha256', 'rsa-sha2-256'],
    [4, 'sha512', 'rsa-sha2-512'],
  ],
  p256: [[0, 'sha256', 'ecdsa-sha2-nistp256']],
  p384: [[0, 'sha384', 'ecdsa-sha2-nistp384']],
  p521: [[0, 'sha512', 'ecdsa-sha2-nistp521']],
};

/** As Node wants a signature: of ECDSA two numbers of equal length. */
function plain(name: string, bytes: Buffer): Buffer {
  if (!name.startsWith('ecdsa')) return bytes;
  const size = Math.ceil(Number(name.slice(-3)) / 8);
  const reader = new WireReader(bytes);
  const number = (): Buffer => Buffer.concat([Buffer.alloc(size), reader.string()]).subarray(-size);
  return Buffer.concat([number(), number()]);
}

function problem(text: string): string {
  try {
    parseSshKey(text);
  } catch (error) {
    if (error instanceof KeyProblem) return [error.message, error.hint ?? ''].join(' | ');
    throw error;
  }
  throw new Error('it was taken');
}

describe('private keys of ssh', () => {
  test.each(Object.keys(keys))('%s, in PEM and as OpenSSH writes them', async (name) => {
    const key = keys[name] ?? expect.fail();
    const texts = [openSsh(key), pem(key)];
    if (name === 'rsa') texts.push(pem(key, 'pkcs1'));
    if (name.startsWith('p')) texts.push(pem(key, 'sec1'));
    const data = Buffer.from('what is signed');
    for (const text of texts) {
      const parsed = parseSshKey(text);
      expect(parsed.publicBlob).toEqual(publicBlob(key));
      for (const [flags, hash, called] of signatures[name] ?? []) {
        const reader = new WireReader((await parsed.sign(data, flags)) ?? expect.fail());
        expect(reader.text()).toBe(called);
        const bytes = plain(called, reader.string());
        const publicKey = createPublicKey(key);
        expect(verify(hash, data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, bytes)).toBe(true);
      }
    }
  });

  test('no signature with SHA-1', async () => {
    expect(await parseSshKey(pem(rsa)).sign(Buffer.from('x'), 0)).toBeUndefined();
  });

  test('one with a passphrase, a public one and others say what they are', () => {
    const locked = 'is encrypted with a passphrase, and nobody is asked for one | load it into an agent';
    const parts = openSshParts(ed25519);
    expect(problem(openSshFile(openSshBytes({ ...parts, cipher: 'aes256-ctr' })))).toContain(locked);
    const options = { format: 'pem', cipher: 'aes-256-cbc', passphrase: 'p' } as const;
    for (const type of ['pkcs1', 'pkcs8'] as const)
      expect(problem(String(rsa.export({ ...options, type })))).toContain(locked);
    expect(problem(`ssh-ed25519 ${publicBlob(ed25519).toString('base64')} me`)).toBe(
      'is a public key | give the private one',
    );
    expect(problem(String(createPublicKey(rsa).export({ type: 'spki', format: 'pem' })))).toContain(
      'is a public key',
    );
    expect(problem('PuTTY-User-Key-File-3: ssh-ed25519\n')).toContain('is a key of PuTTY | convert it');
    expect(problem('')).toContain('is neither a private key nor');
    const secret = Buffer.concat([wireString('sk-ssh-ed25519@openssh.com'), wireString('x')]);
    expect(problem(openSshFile(openSshBytes({ ...parts, secret })))).toContain(
      'is a key of type sk-ssh-ed25519@openssh.com, which needs its device or is out of use | load it',
    );
    for (const other of [
      generateKeyPairSync('x25519').privateKey,
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey,
      generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey,
    ])
      expect(problem(pem(other))).toMatch(/^is a key of type \S+, which ssh does not know/);
  });

  test('damaged files', () => {
    const parts = openSshParts(ed25519);
    const file = (change: Partial<typeof parts>): string =>
      openSshFile(openSshBytes({ ...parts, ...change }));
    expect(problem(file({ checks: [1, 2] }))).toContain('is damaged');
    expect(problem(file({ count: 2 }))).toContain('is damaged');
    // The seed of one key, the public part of another.
    const other = openSshParts(generateKeyPairSync('ed25519').privateKey).secret;
    const mixed = Buffer.concat([parts.secret.subarray(0, -64), other.subarray(-64)]);
    expect(parseSshKey(file({})).publicBlob).toEqual(parts.publicBlob);
    expect(parseSshKey(file({ secret: mixed })).publicBlob).not.toEqual(parts.publicBlob);
    const numbers = openSshParts(rsa);
    // Within the modulus.
    const secret = Buffer.from(numbers.secret);
    secret[100] = (secret[100] ?? 0) ^ 2;
    expect(problem(openSshFile(openSshBytes({ ...numbers, secret })))).toContain('is damaged');
    // An even modulus: nothing can be reckoned with it.
    const even = Buffer.from(numbers.secret);
    const modulus = 11;
    even[modulus + 3 + even.readUInt32BE(modulus)] = 0;
    expect(problem(openSshFile(openSshBytes({ ...numbers, secret: even })))).toContain('is damaged');
    expect(problem('-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n')).toContain(
      'is damaged',
    );
  });

  test('whatever is changed or missing: a key, or a problem that is told', () => {
    const files = Object.values(keys).map((key) => openSshBytes(openSshParts(key)));
    const change = fc.record({
      file: fc.nat(files.length - 1),
      at: fc.nat(),
      byte: fc.nat(255),
      cut: fc.nat(),
    });
    fc.assert(
      fc.property(change, ({ file, at, byte, cut }) => {
        const bytes = Buffer.from(files[file] ?? []);
        bytes[at % bytes.length] = byte;
        const text = openSshFile(cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes);
        try {
          parseSshKey(text);
        } catch (error) {
          expect(error).toBeInstanceOf(KeyProblem);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe.runIf(process.platform !== 'win32')('C-SE-2: agents of --ssh', () => {
  test('keys are listed and sign; nothing else is done', async () => {
    await using folder = await tempFolder('ssh-keys');
    // Deeper than the name of a socket may be.
    const deep = join(folder.path, 'd'.repeat(70), 'e'.repeat(70));
    await mkdir(deep, { recursive: true });
    const paths = ['ed25519', 'p384'].map((name) => join(folder.path, name));
    for (const [index, name] of ['ed25519', 'p384'].entries())
      writeFileSync(paths[index] ?? '', openSsh(keys[name] ?? expect.fail()));
    const opened = await openSshSockets([{ id: 'k', paths }], {}, () => Promise.resolve(deep));
    const path = opened.sockets['k'] ?? '';
    const socket = await connectTo(path);
    const answers = readMessages(socket);
    const ask = async (message: Buffer): Promise<Buffer> => {
      await sendMessage(socket, message);
      return (await answers.next()).value ?? Buffer.from('gone');
    };
    const list = new WireReader((await ask(Buffer.of(11))).subarray(1));
    const [blob, second] = [ed25519, keys['p384'] ?? expect.fail()].map(publicBlob);
    expect(list.uint32()).toBe(2);
    expect([list.string(), list.text(), list.string(), list.text()]).toEqual([blob, '', second, '']);
    const request = (of: Buffer): Buffer =>
      Buffer.concat([Buffer.of(13), wireString(of), wireString('data'), wireUint32(0)]);
    const answer = await ask(request(blob ?? expect.fail()));
    const signature = new WireReader(new WireReader(answer.subarray(1)).string());
    expect([answer[0], signature.text()]).toEqual([14, 'ssh-ed25519']);
    expect(verify(null, Buffer.from('data'), createPublicKey(ed25519), signature.string())).toBe(true);
    // A key that it has not, and every other kind of message: adding, removing, locking, extensions.
    expect(await ask(request(publicBlob(rsa)))).toEqual(Buffer.of(5));
    for (let type = 0; type < 256; type += 1)
      if (type !== 11 && type !== 13)
        expect(await ask(Buffer.concat([Buffer.of(type), wireString('x')]))).toEqual(Buffer.of(5));
    // Cut off within a value: there is no telling what it was.
    expect(String(await ask(request(Buffer.alloc(3)).subarray(0, 6)))).toBe('gone');
    for (const lies of [Buffer.of(0, 0, 0, 0), Buffer.of(0, 4, 0, 1, 11), Buffer.of(255, 255, 255, 255)]) {
      const liar = await connectTo(path);
      const heard = readMessages(liar).next();
      liar.write(lies);
      expect(await heard).toEqual({ done: true, value: undefined });
    }
    await opened[Symbol.asyncDispose]();
    await expect(connectTo(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('what is given and cannot be used is told before anything runs', async () => {
    await using folder = await tempFolder('ssh-wrong');
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder.path, name), text);
      return join(folder.path, name);
    };
    const server = createServer().listen(join(folder.path, 'agent'));
    const good = file('good', openSsh(ed25519));
    const said = async (paths: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> => {
      const options = [{ id: 'k', paths }];
      const error: unknown = await openSshSockets(options, env, () => Promise.resolve(folder.path)).then(
        () => new Error('no error'),
        (reason: unknown) => reason,
      );
      const { code, message, hint = '' } = error as { code: string; message: string; hint?: string };
      return `${code} ${message.replace(`${folder.path}/`, '')} | ${hint}`;
    };
    expect(await said([])).toBe(
      'SECRET_MISSING --ssh k: there is no ssh agent | start one and set SSH_AUTH_SOCK, or name a key: --ssh k=KEYFILE',
    );
    expect(await said([], { SSH_AUTH_SOCK: '' })).toContain('there is no ssh agent');
    expect(await said([good, join(folder.path, 'none')])).toBe(
      'SECRET_MISSING --ssh k: none does not exist | name a key or an agent’s socket: --ssh k=PATH; without a path it is that of SSH_AUTH_SOCK',
    );
    expect(await said([folder.path])).toContain('is neither a file nor');
    expect(await said([file('big', 'x'.repeat(70_000))])).toContain('big is too large for a key');
    expect(await said([good, file('x.pub', 'ssh-ed25519 AAAA me')])).toBe(
      'SECRET_MISSING --ssh k: x.pub is a public key | give the private one',
    );
    for (const paths of [
      [good, join(folder.path, 'agent')],
      [join(folder.path, 'agent'), good],
    ])
      expect(await said(paths)).toContain('USAGE --ssh k names an agent’s socket together with something');
    const twice = [
      { id: 'k', paths: [good] },
      { id: 'k', paths: [good] },
    ];
    await expect(openSshSockets(twice, {}, () => Promise.resolve(folder.path))).rejects.toMatchObject({
      code: 'USAGE',
      hint: 'write all keys into one: --ssh k=KEYFILE,KEYFILE',
    });
    server.close();
  });

  test('the agent of SSH_AUTH_SOCK, or another one, is used as it is', async () => {
    await using folder = await tempFolder('ssh-sock');
    const path = join(folder.path, 'agent');
    const server = createServer().listen(path);
    const options = [
      { id: 'default', paths: [] },
      { id: 'other', paths: [path] },
    ];
    await using opened = await openSshSockets(options, { SSH_AUTH_SOCK: path }, () => expect.fail());
    expect(opened.sockets).toEqual({ default: path, other: path });
    server.close();
  });
});
