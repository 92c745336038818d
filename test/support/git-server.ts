import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { SeenRequest } from './http-server.ts';
import { startHttpServer } from './http-server.ts';

/** Bare repositories below a folder, served by git's own CGI program on loopback. */
export interface GitServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`; a repository is `/<name>.git` below it. */
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  /** Makes the repository, if it is new, and commits what `change` does in a worktree of it. Returns the commit. */
  commit(name: string, change: (worktree: string) => void, about?: CommitOptions): string;
  /** Runs git in the worktree of a repository. */
  git(name: string, ...args: readonly string[]): string;
}

export interface CommitOptions {
  /** Seconds. */
  readonly time?: number;
  readonly format?: 'sha1' | 'sha256';
}

/** @param check may refuse a request: the status it answers with, and its headers. */
export async function startGitServer(
  folder: string,
  check: (
    request: IncomingMessage,
  ) => { status: number; headers?: Record<string, string> } | undefined = () => undefined,
): Promise<GitServer> {
  const bare = join(folder, 'bare');
  const trees = join(folder, 'trees');
  mkdirSync(bare, { recursive: true });
  const server = await startHttpServer((request, response) => {
    const refused = check(request);
    if (refused === undefined) return serve(bare, request, response);
    response.writeHead(refused.status, refused.headers).end();
  });
  const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false'];
  const run = (cwd: string, args: readonly string[], env: Record<string, string> = {}): string =>
    execFileSync('git', [...who, ...args], {
      cwd,
      env: { PATH: process.env['PATH'], HOME: folder, GIT_CONFIG_NOSYSTEM: '1', ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
  return {
    url: `http://${server.host}`,
    seen: server.seen,
    git: (name, ...args) => run(join(trees, name), args),
    commit: (name, change, { time = 1_700_000_000, format = 'sha1' } = {}) => {
      const tree = join(trees, name);
      const origin = join(bare, `${name}.git`);
      if (mkdirSync(tree, { recursive: true }) !== undefined) {
        run(folder, ['init', '-q', '--bare', `--object-format=${format}`, '-b', 'main', origin]);
        run(origin, ['config', 'uploadpack.allowAnySHA1InWant', 'true']);
        run(tree, ['init', '-q', `--object-format=${format}`, '-b', 'main']);
        run(tree, ['remote', 'add', 'origin', origin]);
      }
      change(tree);
      run(tree, ['add', '-A']);
      const date = `${time} +0000`;
      run(tree, ['commit', '-q', '--allow-empty', '-m', 'change'], {
        GIT_AUTHOR_DATE: date,
        GIT_COMMITTER_DATE: date,
      });
      run(tree, ['push', '-q', '--follow-tags', 'origin', 'HEAD']);
      return run(tree, ['rev-parse', 'HEAD']);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** One request through `git http-backend` (git-http-backend(1)). */
function serve(root: string, request: IncomingMessage, response: ServerResponse): void {
  const [path = '', query = ''] = (request.url ?? '').split('?');
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_NOSYSTEM: '1',
      REQUEST_METHOD: request.method,
      PATH_INFO: decodeURIComponent(path),
      QUERY_STRING: query,
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(child.stdin);
  child.stdin.on('error', () => undefined);
  let head = Buffer.alloc(0);
  let started = false;
  child.stdout.on('data', (chunk: Buffer) => {
    if (started) {
      response.write(chunk);
      return;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    started = true;
    const headers = head
      .subarray(0, end)
      .toString('latin1')
      .split('\r\n')
      .map((line) => line.split(': ') as [string, string]);
    const status = Number.parseInt(headers.find(([name]) => name === 'Status')?.[1] ?? '200', 10);
    response.writeHead(status, Object.fromEntries(headers.filter(([name]) => name !== 'Status')));
    response.write(head.subarray(end + 4));
  });
  child.stdout.on('end', () => response.end());
}
