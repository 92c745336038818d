import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tree } from '../image/tree.ts';
import { BuildError } from '../util/build-error.ts';
import { redactText, redactUrl } from '../util/redact.ts';
import { removeTree } from '../util/remove-tree.ts';
import { exhaustion } from '../util/system-error.ts';
import { contextTree } from './context-tree.ts';
import { parseIgnore } from './ignore.ts';

/** A checkout: the shape of the graph's GitOp. */
export interface GitSource {
  readonly url: string;
  readonly ref?: string;
  readonly subdir?: string;
  readonly keepGitDir?: boolean;
  readonly checksum?: string;
  /** Default true. */
  readonly submodules?: boolean;
  readonly mtime?: 'commit';
  readonly fetchByCommit?: boolean;
}

export interface GitOptions {
  /** The checkout lies in a new directory below it. */
  readonly tempDir: () => Promise<string>;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** What is said to a host for `Authorization:`; sent to that origin alone, never on a command line. */
  readonly authorization?: ((host: string) => Promise<string | undefined>) | undefined;
  /** For tests alone: allows repositories of the local file system, which are refused otherwise. */
  readonly allowLocal?: boolean | undefined;
}

/** What git may see of our environment (S-P-9): enough to find itself, a proxy, certificates and the ssh agent. */
const passedOn =
  /^(?:PATH|LANG|LC_ALL|SSH_AUTH_SOCK|SSL_CERT_FILE|SSL_CERT_DIR|GIT_SSL_CAINFO|(?:https?|no|all)_proxy)$/i;

/**
 * Fetches one commit of a git repository with the host's git, without its history, and shows the files as a tree: modes 0644 and
 * 0755, owners 0:0, without `.git` unless it is asked for (L-ADD-4). git runs hardened (S-P-10): no hooks, no system or user
 * configuration, no prompts, no local or unknown protocols, links made but never followed. Throws GIT_FAILED, CHECKSUM_MISMATCH.
 */
export async function checkoutGit(source: GitSource, options: GitOptions): Promise<Tree> {
  const { tree } = await openCheckout(source, options);
  return tree;
}

/** A commit, checked out; disposing removes it. */
export interface Checkout extends AsyncDisposable {
  readonly tree: Tree;
  readonly directory: string;
  readonly commit: string;
  /** When it was committed. Seconds. */
  time(): Promise<number>;
}

/** As checkoutGit, with its commit and directory. */
export async function openCheckout(source: GitSource, options: GitOptions): Promise<Checkout> {
  checkUrl(source.url, options);
  const home = await mkdtemp(join(await options.tempDir(), 'git-'));
  const dispose = (): Promise<void> => removeTree(home);
  try {
    const work = join(home, 'work');
    const authorities = await authorityFile(home, options.env);
    await mkdir(work);
    const login = await loginFor(source.url, options);
    const run: Git = (...args) => runGit(args, { work, home, options, url: source.url, login, authorities });
    const git: Git = (...args) => run(...args).catch((error: unknown) => withoutDepth(error, args, run));
    const commit = await fetchInto(work, source, git);
    if (source.checksum !== undefined && !commit.startsWith(source.checksum)) {
      throw new BuildError('CHECKSUM_MISMATCH', `${redactUrl(source.url)} is at the commit ${commit}`, {
        hint: `expected ${source.checksum}; if the new commit is right, change the checksum`,
        details: { actual: commit, expected: source.checksum },
      });
    }
    await git('checkout', '--quiet', '--force', '--detach', commit);
    if (source.keepGitDir === true) await forgetOrigin(work, source.url, git);
    if (source.keepGitDir === true) await git('read-tree', commit);
    if (source.submodules !== false && (await exists(join(work, '.gitmodules')))) {
      await git('submodule', 'update', '--init', '--recursive', '--depth=1', '--force');
      if (source.keepGitDir === true)
        await git('submodule', '--quiet', 'foreach', '--recursive', forgetInside);
    }
    const whole = contextTree(work);
    const subdir = await resolveSubdir(whole, source);
    const directory = subdir === '' ? work : join(work, subdir);
    // Submodules have a `.git` of their own.
    const ignore =
      source.keepGitDir === true ? undefined : parseIgnore('**/.git', 'the rules for git checkouts');
    const time = async (): Promise<number> => Number(await git('show', '--no-patch', '--format=%ct', commit));
    const mtime = source.mtime === 'commit' ? BigInt(await time()) * 1_000_000_000n : undefined;
    const tree = contextTree(directory, { ignore, modes: 'git', mtime });
    return { tree, directory, commit, time, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** git reads one bundle alone: where there are authorities of the user's own, one that has all. */
async function authorityFile(home: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const { authorityBundle, authorityFiles } = await import('../net/certificates.ts');
  if (authorityFiles(env).length === 0) return undefined;
  const path = join(home, 'ca-bundle.pem');
  await writeFile(path, await authorityBundle(env));
  return path;
}

function checkUrl(url: string, options: GitOptions): void {
  const remote =
    /^(?:https?|ssh|git):\/\/[^-/]/i.test(url) || /^[\w.][\w.-]*@[\w.][\w.-]*:(?!\/\/)/.test(url);
  if (!remote && !(options.allowLocal === true && url.startsWith('file:///'))) {
    throw new BuildError('GIT_FAILED', `\`${redactUrl(url)}\` is no repository that can be fetched`, {
      hint: 'give an https, ssh or git URL; a local directory is given as a path',
    });
  }
}

type Git = (...args: readonly string[]) => Promise<string>;

/** Servers of plain files (dumb HTTP) give no shallow history: then all of it is fetched. */
function withoutDepth(error: unknown, args: readonly string[], run: Git): Promise<string> {
  const deep = args.filter((word) => word !== '--depth=1');
  if (deep.length === args.length || !(error instanceof BuildError) || !/shallow/i.test(error.message))
    throw error;
  return run(...deep);
}

/** Makes the repository and gets the commit into it; one of SHA-256 is found out by what its server says. */
async function fetchInto(work: string, source: GitSource, git: Git): Promise<string> {
  const attempt = async (format: string): Promise<string> => {
    await git('init', '--quiet', '--template=', `--object-format=${format}`);
    await git('remote', 'add', 'origin', source.url);
    return fetchCommit(source, git);
  };
  try {
    return await attempt('sha1');
  } catch (error) {
    if (!(error instanceof BuildError) || !/mismatched algorithms|sha256/i.test(error.message)) throw error;
    await removeTree(join(work, '.git'));
    return attempt('sha256');
  }
}

// A `.git` that is kept follows from the commit alone. So an index is read anew from the commit: from a checkout it has the times and
// inodes of files, other ones each time.
const forgetInside =
  'git read-tree HEAD && cd "$(git rev-parse --absolute-git-dir)" && rm -rf logs FETCH_HEAD';

/** A `.git` that is kept has neither a password nor what was fetched when. */
async function forgetOrigin(work: string, url: string, git: Git): Promise<void> {
  await git('remote', 'set-url', 'origin', redactUrl(url));
  for (const name of ['FETCH_HEAD', 'logs']) await removeTree(join(work, '.git', name));
}

interface Login {
  readonly origin: string;
  readonly header: string;
}

async function loginFor(url: string, options: GitOptions): Promise<Login | undefined> {
  const { protocol, host, origin } = URL.canParse(url)
    ? new URL(url)
    : { protocol: '', host: '', origin: '' };
  if (protocol !== 'https:' && protocol !== 'http:') return undefined;
  const header = await options.authorization?.(host);
  // A line end would begin another header, or another setting.
  if (header !== undefined && /[\r\n\0]/.test(header))
    throw new BuildError('GIT_FAILED', `the secret for ${host} has more than one line`);
  return header === undefined || header === '' ? undefined : { origin, header };
}

/** Gets the one commit, by name where the server lets us; returns its id. */
async function fetchCommit(source: GitSource, git: Git): Promise<string> {
  const ref = (source.fetchByCommit === true ? source.checksum : undefined) ?? source.ref ?? 'HEAD';
  const fetch = (spec: string, ...more: readonly string[]): Promise<string> =>
    git('fetch', '--quiet', '--no-tags', '--force', '--no-recurse-submodules', ...more, '--', 'origin', spec);
  try {
    await fetch(ref, '--depth=1');
    return await git('rev-parse', '--verify', '--end-of-options', 'FETCH_HEAD^{commit}');
  } catch (error) {
    // Some servers hand out no single commit by its id, and an abbreviated one nobody can: then all of it is needed.
    if (!/^[a-f0-9]{7,64}$/.test(ref)) throw error;
    await fetch('+refs/*:refs/remotes/origin/*');
    return git('rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`);
  }
}

/** Below the checkout, whatever links there say (CVE-2026-33748). */
async function resolveSubdir(tree: Tree, source: GitSource): Promise<string> {
  if (source.subdir === undefined) return '';
  const resolved = await tree.resolve(source.subdir);
  const entry = await tree.lstat(resolved);
  if (entry?.type === 'directory' && resolved.split('/')[0] !== '.git') return resolved;
  throw new BuildError('GIT_FAILED', `${redactUrl(source.url)} has no directory \`${source.subdir}\``, {
    details: { subdir: source.subdir },
  });
}

async function exists(file: string): Promise<boolean> {
  return readFile(file).then(
    () => true,
    () => false,
  );
}

function runGit(
  args: readonly string[],
  {
    work,
    home,
    options,
    url,
    login,
    authorities,
  }: {
    work: string;
    home: string;
    options: GitOptions;
    url: string;
    login: Login | undefined;
    authorities: string | undefined;
  },
): Promise<string> {
  const allowed = ['https', 'http', 'ssh', 'git', ...(options.allowLocal === true ? ['file'] : [])];
  const settings = {
    'core.hooksPath': '/dev/null',
    'core.fsmonitor': 'false',
    'core.symlinks': 'true',
    'core.autocrlf': 'false',
    'protocol.allow': 'never',
    ...Object.fromEntries(allowed.map((name) => [`protocol.${name}.allow`, 'always'])),
    'protocol.file.allow': options.allowLocal === true ? 'always' : 'never',
    'protocol.ext.allow': 'never',
    'credential.helper': '',
    'advice.detachedHead': 'false',
    'gc.auto': '0',
    // What is said to one server must not go on to another.
    ...(login === undefined ? {} : { 'http.followRedirects': 'false' }),
  };
  const env: NodeJS.ProcessEnv = {
    HOME: home,
    XDG_CONFIG_HOME: home,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '/bin/false',
    SSH_ASKPASS: '/bin/false',
    GIT_SSH_COMMAND: 'ssh -o BatchMode=yes',
    GIT_ALLOW_PROTOCOL: allowed.join(':'),
    GIT_CEILING_DIRECTORIES: home,
    ...(login === undefined
      ? {}
      : {
          GIT_CONFIG_COUNT: '1',
          GIT_CONFIG_KEY_0: `http.${login.origin}/.extraHeader`,
          GIT_CONFIG_VALUE_0: `Authorization: ${login.header}`,
        }),
  };
  for (const [name, value] of Object.entries(options.env)) if (passedOn.test(name)) env[name] = value;
  if (authorities !== undefined) env['GIT_SSL_CAINFO'] = authorities;
  const flags = Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn('git', [...flags, ...args], {
      cwd: work,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        output[name] = (output[name] + text).slice(-64 * 1024);
      });
    }
    child.on('error', (error) => {
      const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      if (options.signal?.aborted === true) reject(options.signal.reason as Error);
      else {
        reject(
          new BuildError('GIT_FAILED', missing ? 'git is not installed' : `git: ${error.message}`, {
            hint: missing
              ? 'install git, or build from a local directory or a tarball'
              : exhaustion(error)?.hint,
            cause: error,
          }),
        );
      }
    });
    child.on('close', (code) => {
      if (code === 0) return resolve(output.stdout.trim());
      // The reason stands before git's advice to whoever uses it by hand.
      const [reason = ''] = output.stderr.split('\n\nPlease make sure');
      const said = redactText(reason.trim().split('\n').slice(-3).join(' '));
      reject(
        new BuildError('GIT_FAILED', `git ${args[0] ?? ''} failed for ${redactUrl(url)}: ${said}`, {
          details: { exitCode: code },
        }),
      );
    });
  });
}
