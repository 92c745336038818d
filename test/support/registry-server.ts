import type { ChildProcess } from 'node:child_process';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';

const run = promisify(execFile);

export interface RegistryServerOptions {
  /** Asks for Basic authentication. */
  readonly htpasswd?: { readonly username: string; readonly password: string };
  /** Asks for tokens of this server; see token-server.ts. */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly certificate: string;
  };
  /** Speaks TLS with a certificate of its own making for localhost and 127.0.0.1. */
  readonly tls?: boolean;
  /** Takes manifests with layers that are elsewhere. */
  readonly foreignLayers?: boolean;
  /** Is a pull-through mirror of this registry: `http://host:port`. */
  readonly mirrorOf?: string;
}

export interface RegistryServer extends AsyncDisposable {
  /** `127.0.0.1:<port>`. */
  readonly host: string;
  /** PEM file of the CA; only with TLS. */
  readonly ca: string | undefined;
  close(): Promise<void>;
}

/** Starts Debian's docker-registry with an empty data directory, and waits until it answers. */
export async function startRegistry(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const folder = await mkdtemp(join(tmpdir(), 'registry-'));
  const host = `127.0.0.1:${await freePort()}`;
  const config: string[] = [
    'version: 0.1',
    'log: { level: error, accesslog: { disabled: true } }',
    `storage: { filesystem: { rootdirectory: ${folder}/data }, delete: { enabled: true } }`,
    'http:',
    `  addr: ${host}`,
    '  secret: not-secret',
  ];
  let ca: string | undefined;
  if (options.tls === true) {
    await makeCertificate(folder, '127.0.0.1');
    ca = join(folder, 'cert.pem');
    config.push(`  tls: { certificate: ${ca}, key: ${folder}/key.pem }`);
  }
  if (options.htpasswd !== undefined) {
    const { username, password } = options.htpasswd;
    const { stdout } = await run('htpasswd', ['-Bbn', username, password]);
    await writeFile(join(folder, 'htpasswd'), stdout);
    config.push(`auth: { htpasswd: { realm: test, path: ${folder}/htpasswd } }`);
  }
  if (options.token !== undefined) {
    const { realm, service, issuer, certificate } = options.token;
    config.push(
      'auth:',
      `  token: { realm: "${realm}", service: "${service}", issuer: "${issuer}", rootcertbundle: "${certificate}" }`,
    );
  }
  if (options.mirrorOf !== undefined) config.push(`proxy: { remoteurl: "${options.mirrorOf}" }`);
  if (options.foreignLayers === true)
    config.push("validation: { manifests: { urls: { allow: ['^https?://'] } } }");
  await writeFile(join(folder, 'config.yml'), `${config.join('\n')}\n`);
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', OTEL_TRACES_EXPORTER: 'none' },
  });
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await ready(child, `${options.tls === true ? 'https' : 'http'}://${host}/v2/`, ca);
  } catch (error) {
    await close();
    throw error;
  }
  return { host, ca, close, [Symbol.asyncDispose]: close };
}

/** Writes key.pem and cert.pem, self-signed, for `name` and localhost. */
export async function makeCertificate(folder: string, name: string): Promise<void> {
  const subject = [
    '-subj',
    `/CN=${name}`,
    '-addext',
    `subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:${name}`,
  ];
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(folder, 'key.pem')];
  await run('openssl', ['req', '-x509', ...key, '-out', join(folder, 'cert.pem'), '-days', '2', ...subject]);
}

async function ready(child: ChildProcess, url: string, ca: string | undefined): Promise<void> {
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const pem = ca === undefined ? undefined : await readFile(ca, 'utf8');
  const { request } = url.startsWith('https') ? await import('node:https') : await import('node:http');
  for (let turn = 0; turn < 200; turn++) {
    if (child.exitCode !== null) throw new Error(`docker-registry ended: ${output}`);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    request(url, pem === undefined ? {} : { ca: pem }, (response) => {
      response.resume();
      resolve(true);
    })
      .on('error', () => resolve(false))
      .end();
    if (await promise) return;
    await sleep(50);
  }
  throw new Error(`docker-registry does not answer: ${output}`);
}
