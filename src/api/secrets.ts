import { readFile, stat } from 'node:fs/promises';
import { BuildError } from '../util/build-error.ts';
import { inWords } from '../util/system-error.ts';
import type { BuildOptions, SecretOption } from './types.ts';

const secretLimit = 500 * 1024;

/** The secrets of one build, by id; read anew each time. */
export interface Secrets {
  get(id: string): Promise<Uint8Array | undefined>;
}

/** Throws SECRET_MISSING for a file that is not there, before anything runs. */
export async function openSecrets(
  options: Pick<BuildOptions, 'secrets'>,
  env: NodeJS.ProcessEnv,
): Promise<Secrets> {
  const secrets = new Map((options.secrets ?? []).map((secret) => [secret.id, secret]));
  for (const secret of secrets.values()) await checkSecret(secret);
  return {
    get: async (id) => {
      const secret = secrets.get(id);
      return secret === undefined ? undefined : secretBytes(secret, env);
    },
  };
}

/** A secret and its bytes, for those who look for it. */
export interface SecretValue {
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** All that a build was given to keep: secrets, and key files of --ssh. Throws SECRET_MISSING. */
export async function secretValues(
  { secrets = [], ssh = [] }: Pick<BuildOptions, 'secrets' | 'ssh'>,
  env: NodeJS.ProcessEnv,
): Promise<readonly SecretValue[]> {
  const opened = await openSecrets({ secrets }, env);
  const found: SecretValue[] = [];
  for (const { id } of secrets) {
    const bytes = await opened.get(id);
    if (bytes !== undefined) found.push({ id, bytes });
  }
  for (const { id, paths } of ssh) {
    for (const path of paths) {
      // What is missing or cannot be read is told by those who need it.
      const stats = await stat(path).catch(() => undefined);
      if (stats?.isFile() !== true || stats.size > secretLimit) continue;
      const bytes = await readFile(path).catch(() => undefined);
      if (bytes !== undefined) found.push({ id: `ssh:${id}`, bytes });
    }
  }
  return found;
}

/** What is said for `Authorization:` to a host; undefined: nothing. Kinds are those of BuildKit (L-ADD-2, L-ADD-4). */
export type Authorization = (host: string) => Promise<string | undefined>;

/** By the secrets HTTP_AUTH_HEADER_<host> and HTTP_AUTH_TOKEN_<host>. */
export function httpAuthorization(secrets: Secrets): Authorization {
  return async (host) => {
    const header = await secretText(secrets, `HTTP_AUTH_HEADER_${host}`);
    if (header !== undefined) return header;
    const token = await secretText(secrets, `HTTP_AUTH_TOKEN_${host}`);
    return token === undefined ? undefined : `Bearer ${token}`;
  };
}

/** By the secrets GIT_AUTH_HEADER and GIT_AUTH_TOKEN; with `.<host>` for one host alone. */
export function gitAuthorization(secrets: Secrets): Authorization {
  return async (host) => {
    for (const suffix of [`.${host}`, '']) {
      const header = await secretText(secrets, `GIT_AUTH_HEADER${suffix}`);
      if (header !== undefined) return header;
      const token = await secretText(secrets, `GIT_AUTH_TOKEN${suffix}`);
      if (token !== undefined) return `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
    }
    return undefined;
  };
}

async function secretText(secrets: Secrets, id: string): Promise<string | undefined> {
  const bytes = await secrets.get(id);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8').trim();
}

/** A secret file that is not there is told before anything runs. */
async function checkSecret(secret: SecretOption): Promise<void> {
  if (secret.file === undefined) return;
  const found = await stat(secret.file).catch((error: unknown) => {
    throw unreadable(secret, error);
  });
  if (!found.isFile()) throw unreadable(secret, { code: found.isDirectory() ? 'EISDIR' : 'EFTYPE' });
  if (found.size > secretLimit) throw tooLarge(secret.id);
}

function unreadable({ id, file }: SecretOption, cause: unknown): BuildError {
  const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
  const why = isMissing ? 'does not exist' : `cannot be read: ${inWords(cause)}`;
  // Without a source the name of the variable or of the file is the id.
  const either = isMissing && file === id ? `, and no variable \`${id}\` is set` : '';
  return new BuildError('SECRET_MISSING', `the file \`${file}\` of the secret \`${id}\` ${why}${either}`, {
    hint: `give an existing file or a variable: --secret id=${id},src=FILE or --secret id=${id},env=NAME`,
    ...(cause instanceof Error ? { cause } : {}),
  });
}

async function secretBytes(secret: SecretOption, env: NodeJS.ProcessEnv): Promise<Uint8Array | undefined> {
  const bytes =
    secret.value !== undefined
      ? Buffer.from(secret.value)
      : secret.file !== undefined
        ? await readFile(secret.file).catch((error: unknown) => {
            throw unreadable(secret, error);
          })
        : textBytes(env[secret.env ?? secret.id]);
  if (bytes !== undefined && bytes.length > secretLimit) {
    throw tooLarge(secret.id);
  }
  return bytes;
}

function tooLarge(id: string): BuildError {
  return new BuildError('SECRET_MISSING', `the secret \`${id}\` is larger than 500 KiB`, {
    hint: 'a build context or a cache mount brings large files into a step',
  });
}

function textBytes(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Buffer.from(text);
}
