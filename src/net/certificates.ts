import { readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { SecureContext } from 'node:tls';
import { BuildError } from '../util/build-error.ts';
import { configHome } from '../util/docker-config.ts';
import { inWords } from '../util/system-error.ts';
import { readSmallFile } from '../util/small-file.ts';

export interface CertificateOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Directories with one folder per `host[:port]`; see `certificateDirectories` for the default. */
  readonly directories?: readonly string[] | undefined;
}

/** What certs.d holds for one host. */
export interface HostCertificates {
  readonly ca: readonly string[];
  readonly client?: { readonly cert: string; readonly key: string } | undefined;
}

/** TLS of one server as a configuration file sets it, besides what certs.d has for its host. */
export interface TlsSettings {
  /** Paths of PEM files. */
  readonly ca: readonly string[];
  /** The first counts: paths of PEM files. */
  readonly clients: readonly { readonly cert: string; readonly key: string }[];
  /** The certificate is not checked. */
  readonly unchecked: boolean;
}

/** W-18: `TSBUILD_CA` names PEM files of certificate authorities that are trusted besides the machine's, as PATH names folders. */
export function authorityFiles(env: NodeJS.ProcessEnv): readonly string[] {
  return (env['TSBUILD_CA'] ?? '').split(delimiter).filter((path) => path !== '');
}

const authoritiesNamed = '--ca or TSBUILD_CA names it';

/** All of them as one PEM text. Error: CREDENTIALS_INVALID. */
export async function readAuthorities(env: NodeJS.ProcessEnv): Promise<string> {
  const texts = await Promise.all(authorityFiles(env).map(readAuthority));
  return texts.join('');
}

/** What a program trusts that reads one bundle alone, such as git: the machine's authorities, and those of `authorityFiles`. */
export async function authorityBundle(env: NodeJS.ProcessEnv): Promise<string> {
  const tls = await import('node:tls');
  const usual = [...tls.getCACertificates('default'), ...tls.getCACertificates('system')];
  const named = ['SSL_CERT_FILE', 'GIT_SSL_CAINFO']
    .flatMap((name) => env[name] ?? [])
    .filter((path) => path !== '');
  const files = await Promise.all(named.map((path) => readPem(path)));
  return `${[...new Set([...usual, ...files])].map((text) => text.trimEnd()).join('\n')}\n${await readAuthorities(env)}`;
}

/** R-TLS-1: where docker and podman look, the system's before the user's. */
export function certificateDirectories(env: NodeJS.ProcessEnv): readonly string[] {
  const config = configHome(env);
  return [
    '/etc/docker/certs.d',
    '/etc/containers/certs.d',
    ...(config === undefined
      ? []
      : [join(config, 'docker', 'certs.d'), join(config, 'containers', 'certs.d')]),
  ];
}

/**
 * CAs (`*.crt`) and a client pair (`x.cert` with `x.key`) for `host[:port]` as the URL has it; undefined when no directory has any.
 * Throws CREDENTIALS_INVALID when a file is there but unusable: going on without it would mean another trust than the user set up.
 */
export async function hostCertificates(
  host: string,
  options: CertificateOptions,
): Promise<HostCertificates | undefined> {
  // A host becomes a file name here, so nothing but a plain one is looked up.
  if (!/^(?:[a-z0-9_][\w.-]*|\[[a-f0-9:]+\])(?::\d+)?$/i.test(host)) return undefined;
  const ca: string[] = [];
  let client: HostCertificates['client'];
  for (const base of options.directories ?? certificateDirectories(options.env)) {
    const folder = join(base, host);
    const names = await list(folder);
    for (const name of names) {
      if (name.endsWith('.crt')) ca.push(await readPem(join(folder, name)));
      if (name.endsWith('.cert') && client === undefined) {
        const key = `${name.slice(0, -'.cert'.length)}.key`;
        if (!names.includes(key)) {
          throw new BuildError('CREDENTIALS_INVALID', `${join(folder, name)} has no key beside it`, {
            hint: `put the private key into ${key}`,
          });
        }
        client = { cert: await readPem(join(folder, name)), key: await readPem(join(folder, key)) };
      }
    }
  }
  if (ca.length === 0 && client === undefined) return undefined;
  return { ca, client };
}

/** All that a connection is trusted by and shows besides the usual; undefined: nothing. Those of
 * `authorityFiles` are for every server. Error: CREDENTIALS_INVALID. */
export async function connectionCertificates(
  host: string,
  options: CertificateOptions & {
    readonly tls?: TlsSettings | undefined;
  },
): Promise<HostCertificates | undefined> {
  const { tls } = options;
  const found = await hostCertificates(host, options);
  const ca = await Promise.all([
    ...authorityFiles(options.env).map(readAuthority),
    ...(tls?.ca ?? []).map((path) => readPem(path)),
  ]);
  const pair = tls?.clients[0];
  const client = pair && { cert: await readPem(pair.cert), key: await readPem(pair.key) };
  if (found === undefined && ca.length === 0 && client === undefined) return undefined;
  return { ca: [...ca, ...(found?.ca ?? [])], client: client ?? found?.client };
}

/** For one host: Node's own CAs and those of certs.d. */
export async function hostContext(certificates: HostCertificates): Promise<SecureContext> {
  const tls = await import('node:tls');
  const { ca, client } = certificates;
  return tls.createSecureContext({
    ca: [...tls.getCACertificates('default'), ...ca],
    ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
  });
}

/**
 * The widest trust that this machine was set up with: Node's CAs, the system's, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, and the host's own.
 * Costs about 0.1 s, so it is only asked for once a server's certificate was not accepted without it.
 */
export async function systemContext(
  certificates: HostCertificates | undefined,
  env: NodeJS.ProcessEnv,
): Promise<SecureContext> {
  const tls = await import('node:tls');
  const files: string[] = [];
  for (const name of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']) {
    const path = env[name];
    if (path !== undefined && path !== '') files.push(await readPem(path, `${name} names it`));
  }
  const { ca = [], client } = certificates ?? {};
  const all = new Set([
    ...tls.getCACertificates('default'),
    ...tls.getCACertificates('system'),
    ...files,
    ...ca,
  ]);
  return tls.createSecureContext({
    ca: [...all],
    ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
  });
}

async function list(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).toSorted();
  } catch {
    // Not there, or only root may look into it: then its certificates are not meant for this user.
    return [];
  }
}

/** Of a file with certificates, in bytes. */
const largest = 16 * 1024 * 1024;

/** What RUN steps see too: a private key that was meant for something else would be shown to them. */
/** Its certificates alone: steps get them, and a private key beside them is not for steps. */
async function readAuthority(path: string): Promise<string> {
  const [, ...blocks] = (await readPem(path, authoritiesNamed)).split('-----BEGIN ');
  const certificates = blocks
    .map((block) => /^((?:TRUSTED |X509 )?CERTIFICATE-----)[^]*?-----END \1/.exec(block)?.[0])
    .filter((block) => block !== undefined);
  if (certificates.length > 0) return certificates.map((block) => `-----BEGIN ${block}\n`).join('');
  throw new BuildError('CREDENTIALS_INVALID', `${path} has no certificate`, { hint: authoritiesNamed });
}

async function readPem(path: string, why?: string): Promise<string> {
  let text: string;
  try {
    text = (await readSmallFile(path, largest)).toString('latin1');
  } catch (cause) {
    throw new BuildError(
      'CREDENTIALS_INVALID',
      `cannot read the certificate file ${path}: ${inWords(cause)}`,
      {
        hint: why,
        cause,
      },
    );
  }
  if (!text.includes('-----BEGIN ')) {
    throw new BuildError('CREDENTIALS_INVALID', `${path} is no certificate file in PEM form`, { hint: why });
  }
  return text;
}
