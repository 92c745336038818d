import { createReadStream } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openArchive } from '../image/archive-detect.ts';
import type { Tree } from '../image/tree.ts';
import { fullDiskError } from '../store/store-error.ts';
import { BuildError } from '../util/build-error.ts';
import { inWords } from '../util/system-error.ts';
import type { SourceText } from '../util/source.ts';
import type { ByteStream } from '../util/streams.ts';
import { readAll } from '../util/streams.ts';
import { removeTree } from '../util/remove-tree.ts';
import type { StatCache } from './context-tree.ts';
import { contextTree } from './context-tree.ts';
import type { DockerfileSpec } from './dockerfile.ts';
import { dockerfileLimit, findIgnoreFile, readDockerfile } from './dockerfile.ts';
import { isGitUrl, parseGitUrl } from '../util/git-url.ts';
import type { IgnoreFile } from './ignore.ts';
import { literalTree } from './literal-tree.ts';
import { ownOutputs } from './own-outputs.ts';
import { unpackTree } from './tar-tree.ts';

/** A directory, `-`, a git URL, the URL of a tar archive or of a Dockerfile; or a stream with one of these two. */
export type ContextSpec = string | { readonly directory: string } | { readonly stream: ByteStream };

export interface OpenContextOptions {
  /** As BuildOptions.dockerfile has it; false: none is needed (a named context). */
  readonly dockerfile?: DockerfileSpec | false | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Whether a checkout has its `.git`, where its URL does not say. */
  readonly keepGitDir?: boolean | undefined;
  /** What is said to a server for `Authorization:`, by its host. */
  readonly httpAuthorization?: ((host: string) => Promise<string | undefined>) | undefined;
  readonly gitAuthorization?: ((host: string) => Promise<string | undefined>) | undefined;
  /** For what must be unpacked; the caller removes it when it still has something after a crash. */
  readonly tempDir: () => Promise<string>;
  readonly signal?: AbortSignal | undefined;
  readonly statCache?: StatCache | undefined;
  /** As `contextTree` has it, for directories and archives; a git checkout has such modes always. */
  readonly modes?: 'git' | undefined;
  /** Where the store is: no part of a directory. */
  readonly store?: string | undefined;
  /** What relative paths start from; default the process's. */
  readonly cwd?: string | undefined;
  /** For `-`; default the process's. */
  readonly stdin?: ByteStream | undefined;
}

/** A build context that is ready to be read. Disposing removes what was made for it. */
export interface OpenedContext extends AsyncDisposable {
  readonly tree: Tree;
  /** What the ignore file says; undefined: there is none. */
  readonly ignore?: IgnoreFile | undefined;
  /** Where its files are on this machine; what the ignore file hides is there too. */
  readonly directory?: string;
  /** When its content was made, where that is known (L-ARG-10): of the commit, of Last-Modified, of the newest file. Seconds. */
  time?(): Promise<number | undefined>;
  /** Reads the Dockerfile, once. Throws DOCKERFILE_NOT_FOUND, with the names that are there. */
  dockerfile(): Promise<SourceText>;
}

/** Largest archive that is taken from a stream, packed. */
const largestStream = 64 * 1024 ** 3;

/**
 * Opens a build context (C-IN-1 to 3). A local directory is read as it is needed, through its ignore file (L-IGN-1); from elsewhere it
 * is fetched and unpacked first, and no ignore file counts, as with Docker. Errors: CONTEXT_NOT_FOUND, CONTEXT_INVALID, IGNORE_FILE_INVALID,
 * DOWNLOAD_FAILED, GIT_FAILED.
 */
export async function openContext(spec: ContextSpec, options: OpenContextOptions): Promise<OpenedContext> {
  if (typeof spec === 'object') {
    return 'stream' in spec ? fromStream(spec.stream, options) : fromDirectory(spec.directory, options);
  }
  if (spec === '-') {
    if (options.dockerfile === '-') {
      throw new BuildError('USAGE', 'the context and the Dockerfile cannot both come from standard input');
    }
    return fromStream(options.stdin ?? process.stdin, options);
  }
  if (isGitUrl(spec)) {
    const git = parseGitUrl(spec, 'CONTEXT_INVALID');
    const { openCheckout } = await import('./git.ts');
    const checkout = await openCheckout(
      { keepGitDir: options.keepGitDir === true, ...git },
      { ...options, authorization: options.gitAuthorization },
    );
    return { ...opened(checkout.tree, options), ...checkout };
  }
  if (/^https?:\/\//i.test(spec)) {
    const { fetchFile } = await import('./http.ts');
    const { file, mtime } = await fetchFile(
      { url: spec },
      { ...options, cacheDir: await options.tempDir(), authorization: options.httpAuthorization },
    );
    const context = await fromFile(file, options);
    return mtime === 0n
      ? context
      : { ...context, time: () => Promise.resolve(Number(mtime / 1_000_000_000n)) };
  }
  return fromDirectory(spec, options);
}

/** Throws CONTEXT_NOT_FOUND, CONTEXT_INVALID for a local directory that cannot be one; what is fetched is not looked at. */
export async function checkLocalContext(spec: string): Promise<void> {
  if (spec !== '-' && !isGitUrl(spec) && !/^https?:\/\//i.test(spec)) await localDirectory(spec);
}

async function fromDirectory(spec: string, options: OpenContextOptions): Promise<OpenedContext> {
  const directory = await localDirectory(spec, options.cwd);
  const whole = contextTree(directory);
  const local = { tree: whole, directory, options: { ...options, contextName: spec } };
  const ignore = await findIgnoreFile(local);
  const about = { name: `the build context (${directory})` };
  const { statCache, modes } = options;
  const without = ownOutputs(directory, options.store);
  const tree = contextTree(directory, { ignore, without, statCache, modes, about });
  return {
    tree,
    directory,
    ignore,
    dockerfile: once(() => readDockerfile(local)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function localDirectory(spec: string, cwd = process.cwd()): Promise<string> {
  const path = join(spec.startsWith('/') ? '/' : cwd, spec);
  let found;
  try {
    found = await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const missing = code === 'ENOENT' || code === 'ENOTDIR';
    throw new BuildError(
      missing ? 'CONTEXT_NOT_FOUND' : 'CONTEXT_INVALID',
      missing
        ? `the build context \`${spec}\` does not exist`
        : `cannot read the build context \`${spec}\`: ${inWords(error)}`,
      { hint: 'name a directory; `.` is the current one', details: { context: spec }, cause: error },
    );
  }
  if (!found.isDirectory()) {
    throw new BuildError('CONTEXT_INVALID', `the build context \`${spec}\` is no directory`, {
      hint: 'name the directory; a Dockerfile goes with -f, an archive comes in with `- <`',
      details: { context: spec },
    });
  }
  return realpath(path);
}

async function fromStream(stream: ByteStream, options: OpenContextOptions): Promise<OpenedContext> {
  const file = join(await options.tempDir(), `context-${process.pid}-${process.hrtime.bigint()}`);
  let size = 0;
  async function* limited(): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      size += chunk.length;
      if (size > largestStream)
        throw new BuildError('CONTEXT_INVALID', 'the context archive is larger than 64 GiB');
      yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    }
  }
  try {
    // Opened first: a stream that opens its file itself may do so after it has failed, and leave it.
    const out = (await open(file, 'wx', 0o600)).createWriteStream();
    await pipeline(limited(), out, ...(options.signal === undefined ? [] : [{ signal: options.signal }]));
    return await fromFile(file, options);
  } catch (error) {
    throw fullDiskError(error, 'keeping the context archive');
  } finally {
    await removeTree(file);
  }
}

/** An archive, or a Dockerfile without a context; `file` is not needed afterwards. */
async function fromFile(file: string, options: OpenContextOptions): Promise<OpenedContext> {
  const content = (): ByteStream => createReadStream(file);
  const archive = await openArchive(content);
  if (archive !== undefined) {
    const unpacked = await unpackTree(archive(), options);
    return { ...opened(unpacked.tree, options), ...unpacked };
  }
  const { size } = await stat(file);
  if (size === 0)
    throw new BuildError('CONTEXT_INVALID', 'the context from the stream is empty', {
      hint: 'a tar archive or a Dockerfile is expected there; what should write it may have failed',
    });
  const bytes = size > dockerfileLimit ? undefined : await readAll(content(), dockerfileLimit);
  if (bytes === undefined || bytes.includes(0)) {
    throw new BuildError('CONTEXT_INVALID', 'the context is neither a tar archive nor a Dockerfile', {
      hint: 'give a tar archive, plain or packed with gzip, bzip2, xz or zstd',
    });
  }
  if (options.dockerfile !== undefined && options.dockerfile !== false) {
    throw new BuildError(
      'CONTEXT_INVALID',
      'the context is no tar archive, and the Dockerfile was named apart',
      {
        hint: 'give an archive as the context, or leave -f away to have the text taken as the Dockerfile',
      },
    );
  }
  const text = { name: 'Dockerfile', text: bytes.toString('utf8') };
  const hint = 'the Dockerfile came without a context: give a directory, or a tar archive with the files';
  return {
    tree: { ...literalTree({}), about: { name: 'the build context, which is empty', hint } },
    dockerfile: () => Promise.resolve(text),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function opened(tree: Tree, options: OpenContextOptions): Pick<OpenedContext, 'dockerfile'> {
  return { dockerfile: once(() => readDockerfile({ tree, options })) };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
