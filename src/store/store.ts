import { existsSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { BlobStore } from './blob-store.ts';
import { openFsBlobStore } from './fs-blob-store.ts';
import type { ImageStore } from './layout.ts';
import { emptyIndex, openImageStore } from './layout.ts';
import type { Leases } from './leases.ts';
import { openLeases, removeStaleLeases } from './leases.ts';
import type { ProcessDir } from './process-dir.ts';
import { makeProcessDir } from './process-dir.ts';
import type { StatCache } from './stat-cache.ts';
import { openStatCache } from './stat-cache.ts';
import type { State } from './state-record.ts';
import { openState } from './state.ts';
import { storeError } from './store-error.ts';
import type { Swept } from './sweep.ts';
import { removeUnreferenced } from './sweep.ts';
import type { UseLock } from './use-lock.ts';
import { markUsed, openUseLock } from './use-lock.ts';
import { BuildError } from '../util/build-error.ts';
import { makeDirectories } from '../util/make-directories.ts';

/**
 * Where everything is kept: an OCI image layout (blobs/, index.json, oci-layout) and beside it an index (state-*.db), leases/, layers/,
 * tmp/ and more. Any number of processes may have one open.
 */
export interface Store extends AsyncDisposable {
  /** Absolute and without symbolic links: the sandbox follows none on its way to a root filesystem. */
  readonly root: string;
  readonly blobs: BlobStore;
  readonly images: ImageStore;
  readonly state: State;
  readonly statCache: StatCache;
  readonly leases: Leases;
  /**
   * A directory of this open store alone, on the filesystem of the blobs; made when first asked for and removed by `close`. From then on
   * this is a build at work: what it uses is marked piece by piece. Before, nothing at all is removed from the store by others.
   */
  tempDir(): Promise<string>;
  /** Whether `tempDir` was asked for: something is or was to be written. */
  isWorking(): boolean;
  readonly useLock: UseLock;
  /** Before a blob or the directory of a layer that is there is relied on: marks it as used. False: it has just been removed. */
  keep(path: string): boolean;
  /** Removes blobs that nothing refers to; see sweep.ts. */
  removeUnreferenced(): Promise<Swept>;
  /** Writes what the index has put off and removes the temporary directory. May be called twice. */
  close(): Promise<void>;
}

/** `$XDG_DATA_HOME/tsbuild`, else `~/.local/share/tsbuild` (XDG Base Directory: a relative path is ignored). */
export function defaultStoreRoot(env: NodeJS.ProcessEnv): string {
  const data = env['XDG_DATA_HOME'];
  if (data !== undefined && isAbsolute(data)) return join(data, 'tsbuild');
  const home = env['HOME'];
  return join(home !== undefined && isAbsolute(home) ? home : homedir(), '.local', 'share', 'tsbuild');
}

/** Opens the store at `root`, and makes it when it is not there, mode 0700. Throws STORE_FAILED, DISK_FULL. */
export function openStore(root: string): Promise<Store> {
  return new Promise((done) => {
    const named = resolve(root);
    make(named);
    done(open(realpathSync.native(named)));
  });
}

/** `root` is there, and has no link in its path. */
function open(root: string): Store {
  let processDir: Promise<ProcessDir> | undefined;
  const tempDir = async (): Promise<string> => {
    processDir ??= newProcessDir(root).catch((error: unknown) => {
      processDir = undefined;
      throw error;
    });
    const { path } = await processDir;
    // Invariant: until the records that have served are marked, and the directory says since when, nothing can be removed.
    if (!working) {
      working = true;
      state.protect();
      useLock.release();
    }
    return path;
  };
  const useLock = openUseLock(root);
  useLock.hold();
  const state = openState(root);
  let working = false;
  const marked = new Set<string>();
  const keep = (path: string): boolean => {
    if (!working || marked.has(path)) return true;
    if (!markUsed(path, useLock)) return false;
    marked.add(path);
    return true;
  };
  const blobs = openFsBlobStore(root, tempDir, keep);
  const close = async (): Promise<void> => {
    state.close();
    useLock.release();
    const directory = processDir;
    processDir = undefined;
    await (await directory)?.[Symbol.asyncDispose]();
  };
  return {
    root,
    blobs,
    state,
    images: openImageStore(root, blobs, tempDir),
    statCache: openStatCache(state, Date.now()),
    leases: openLeases(root),
    tempDir,
    useLock,
    keep,
    isWorking: () => working,
    removeUnreferenced: async () =>
      removeUnreferenced(root, state, { now: Date.now(), ownTempDir: (await processDir)?.path }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Also clears away what killed processes have left. */
function newProcessDir(root: string): Promise<ProcessDir> {
  return makeProcessDir(root).finally(() => removeStaleLeases(root));
}

function make(root: string): void {
  const layout = join(root, 'oci-layout');
  // Written last: when it is there, all is.
  if (existsSync(layout)) return;
  try {
    makeDirectories(root, 0o700);
    makeDirectories(join(root, 'blobs', 'sha256'), 0o755);
    writeNew(join(root, 'index.json'), `${JSON.stringify(emptyIndex)}\n`);
    writeNew(layout, '{"imageLayoutVersion":"1.0.0"}\n');
  } catch (error) {
    throw foreign(root) ?? storeError(error, `making the store at ${root}`);
  }
}

/** What is wrong where the directory is somebody else's. */
function foreign(root: string): BuildError | undefined {
  let owner: number | undefined;
  try {
    owner = statSync(root).uid;
  } catch {
    // Not there, or not to be reached: then what could not be made says it.
  }
  if (owner === undefined || owner === process.getuid?.()) return undefined;
  return new BuildError('STORE_FAILED', `the store at ${root} belongs to another user (id ${owner})`, {
    hint: 'run this as that user, or choose another place with --root',
  });
}

/** Never replaces: another process may be making the same store, and be further on. */
function writeNew(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o644 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
