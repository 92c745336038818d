import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { BuildError } from '../util/build-error.ts';
import { redactText } from '../util/redact.ts';
import { exhaustion } from '../util/system-error.ts';

const outputLimit = 64 * 1024;
const patience = 30_000;
/** For what a helper that has ended has still in its pipe. */
const afterwards = 2000;

/** What a helper may see: what finding and unlocking a key chain takes, and the accounts of the clouds whose helpers make tokens. */
const allowed =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TMPDIR|XDG_.*|DBUS_SESSION_BUS_ADDRESS|DISPLAY|WAYLAND_DISPLAY|GNUPGHOME|GPG_TTY|PASSWORD_STORE_.*|DOCKER_CONFIG|REGISTRY_AUTH_FILE|AWS_.*|ECR_.*|AZURE_.*|ACR_.*|GOOGLE_.*|CLOUDSDK_.*|GCR_.*|GH_TOKEN|GITHUB_TOKEN|SSL_CERT_.*|NODE_EXTRA_CA_CERTS|(?:https?|all|no)_proxy|SYSTEMROOT|PATHEXT|APPDATA|LOCALAPPDATA|PROGRAMDATA|USERPROFILE)$/i;

/** What a helper knows for a server. */
export interface HelperAnswer {
  readonly username: string;
  readonly secret: string;
}

export interface HelperOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/** `docker-credential-<name> get` (R-AUTH-7). undefined: it has nothing for this server. Throws CREDENTIALS_INVALID. */
export async function askHelper(
  name: string,
  server: string,
  options: HelperOptions,
): Promise<HelperAnswer | undefined> {
  const { status, stdout } = await runHelper(name, { verb: 'get', input: server }, options);
  if (status !== 0) {
    // The protocol says "not there" in words and on stdout only.
    if (/credentials not found/i.test(stdout)) return undefined;
    throw failed(name, `\`get\` ended with status ${status}: ${redactText(stdout) || 'no message'}`);
  }
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch {
    throw failed(name, 'its answer is no JSON');
  }
  const { Username: username, Secret: secret } = (answer ?? {}) as { Username?: unknown; Secret?: unknown };
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw failed(name, 'its answer has no Username and Secret');
  }
  return username === '' && secret === '' ? undefined : { username, secret };
}

/** `store`: keeps the credentials; replaces what is there. */
export async function storeWithHelper(
  name: string,
  entry: { readonly server: string } & HelperAnswer,
  options: HelperOptions,
): Promise<void> {
  const input = JSON.stringify({ ServerURL: entry.server, Username: entry.username, Secret: entry.secret });
  const { status, stdout } = await runHelper(name, { verb: 'store', input }, options);
  if (status !== 0) {
    throw failed(name, `\`store\` ended with status ${status}: ${redactText(stdout, [entry.secret])}`);
  }
}

/** `erase`. False when it had nothing for this server. */
export async function eraseWithHelper(
  name: string,
  server: string,
  options: HelperOptions,
): Promise<boolean> {
  const { status, stdout } = await runHelper(name, { verb: 'erase', input: server }, options);
  if (status === 0) return true;
  if (/credentials not found/i.test(stdout)) return false;
  throw failed(name, `\`erase\` ended with status ${status}: ${redactText(stdout)}`);
}

async function runHelper(
  name: string,
  call: { readonly verb: 'get' | 'store' | 'erase'; readonly input: string },
  options: HelperOptions,
): Promise<{ status: number; stdout: string }> {
  // The name comes from a file and becomes a program: never a path.
  if (!/^[A-Za-z0-9][\w.-]*$/.test(name)) throw failed(name, 'its name has characters that no helper has');
  const env = Object.fromEntries(Object.entries(options.env).filter(([key]) => allowed.test(key)));
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; stdout: string }>();
  const child: ChildProcess = spawn(`docker-credential-${name}`, [call.verb], {
    env,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'ignore'],
    killSignal: 'SIGKILL',
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const chunks: Buffer[] = [];
  let size = 0;
  // What the helper has started may live on and hold its output open: nobody waits for that.
  const giveUp = (): void => {
    child.kill('SIGKILL');
    child.stdout?.destroy();
  };
  let timer = setTimeout(giveUp, patience);
  child.on('exit', () => {
    clearTimeout(timer);
    timer = setTimeout(() => child.stdout?.destroy(), afterwards);
  });
  child.stdout?.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= outputLimit) chunks.push(chunk);
    else giveUp();
  });
  // A helper may end without reading its input.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(call.input);
  child.on('error', (cause: NodeJS.ErrnoException) => {
    clearTimeout(timer);
    child.stdout?.destroy();
    if (options.signal?.aborted === true) reject(options.signal.reason as Error);
    else if (cause.code === 'ENOENT') reject(failed(name, 'it is not installed, or not on the PATH', cause));
    else reject(failed(name, `it could not be started (${cause.code ?? cause.message})`, cause));
  });
  child.on('close', (status, signal) => {
    clearTimeout(timer);
    if (size > outputLimit) reject(failed(name, `it wrote more than ${outputLimit} bytes`));
    else if (status === null)
      reject(failed(name, `it was ended by ${signal ?? 'a signal'}, or took longer than 30 s`));
    else resolve({ status, stdout: Buffer.concat(chunks).toString('utf8') });
  });
  return promise;
}

function failed(name: string, why: string, cause?: unknown): BuildError {
  return new BuildError(
    'CREDENTIALS_INVALID',
    `the credential helper \`docker-credential-${redactText(name, [], 60)}\` does not work: ${why}`,
    {
      hint:
        exhaustion(cause)?.hint ??
        'repair it, or remove credsStore and credHelpers from docker’s config.json',
      cause,
    },
  );
}
