import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Difference } from '../e2e/conformance/differences.ts';
import { command, must } from './cli.ts';
import { projectRoot } from './paths.ts';
import { requireTool } from './require.ts';
import type { ImageConfig, ReadImage } from './tree.ts';
import { flatten, treeLines } from './tree.ts';

const cases = join(projectRoot, 'test/e2e/conformance');

/** The folders of the cases, sorted. */
export function conformanceCases(): string[] {
  return readdirSync(cases, { withFileTypes: true })
    .filter((item) => item.isDirectory())
    .map((item) => item.name)
    .toSorted();
}

/** Copies a case below `folder` and runs its setup.sh there: what git cannot keep (modes, links, capabilities, archives). */
export async function prepareCase(name: string, folder: string): Promise<string> {
  const context = join(folder, name);
  mkdirSync(folder, { recursive: true });
  cpSync(join(cases, name), context, { recursive: true });
  await must(command('chmod', ['-R', 'u=rwX,go=rX', context]));
  if (existsSync(join(context, 'setup.sh'))) {
    const script = `umask 022; ${requireTool('sh')} -eu setup.sh`;
    await must(command('sh', ['-c', script], { cwd: context, env: { BUSYBOX: requireTool('busybox') } }));
    rmSync(join(context, 'setup.sh'));
  }
  return context;
}

/** What every case is built with; `URL` is a loopback server that gives download.txt. */
export function caseArguments(folder: string, url: string): string[] {
  const token = join(folder, 'token');
  writeFileSync(token, 's3cr3t');
  const platform = `linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}`;
  return [
    '--build-arg',
    `PLATFORM=${platform}`,
    '--build-arg',
    `URL=${url}`,
    '--secret',
    `id=token,src=${token}`,
  ];
}

/** A web server on loopback with one file. */
export async function fileServer(): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, response) => {
    if (request.url !== '/download.txt') response.writeHead(404).end();
    else response.setHeader('last-modified', 'Sun, 09 Sep 2001 01:46:40 GMT').end('downloaded\n');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

const fields = [
  'Env',
  'Cmd',
  'Entrypoint',
  'WorkingDir',
  'User',
  'ExposedPorts',
  'Labels',
  'Volumes',
  'StopSignal',
  'Healthcheck',
  'OnBuild',
  'Shell',
] as const;

/** The flattened tree and the compared fields of the config, a line each. Absent, null and empty mean the same. */
export function imageLines(image: ReadImage): string[] {
  return [...configLines(image.config), ...treeLines(flatten(image.layers))];
}

function configLines(config: ImageConfig): string[] {
  const lines = config.author === undefined ? [] : [`config author ${config.author}`];
  for (const field of fields) {
    const value = config.config?.[field];
    const empty =
      value === undefined ||
      value === null ||
      value === '' ||
      (typeof value === 'object' && Object.keys(value).length === 0);
    if (!empty) lines.push(`config ${field} ${JSON.stringify(sorted(value))}`);
  }
  return lines;
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Lines of only one side, `- ` theirs and `+ ` ours, and without those that a documented difference explains. */
export function unexplained(
  { ours, theirs }: { readonly ours: readonly string[]; readonly theirs: readonly string[] },
  differences: readonly Difference[],
): { readonly lines: string[]; readonly used: ReadonlySet<Difference> } {
  const used = new Set<Difference>();
  const lines = [
    ...theirs.filter((line) => !ours.includes(line)).map((line) => `- ${line}`),
    ...ours.filter((line) => !theirs.includes(line)).map((line) => `+ ${line}`),
  ].filter((line) => {
    const row = differences.find((difference) => difference.line.test(line.slice(2)));
    if (row !== undefined) used.add(row);
    return row === undefined;
  });
  return { lines, used };
}
