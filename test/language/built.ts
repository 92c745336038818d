import {
  chmodSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { BuildOptions } from '../../src/index.ts';
import { build } from '../../src/index.ts';
import type { ImageConfig } from '../support/tree.ts';
import { flatten, readLayout } from '../support/tree.ts';
import type { TarEntry } from '../support/tar.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { tempFolder } from '../support/temp.ts';

/** The mtime of all that a project has, in seconds. */
export const projectTime = 1_000_000_000;

/** One file of a project: its content, or more about it. Files are 0644, directories 0755, whatever the umask is. */
export type ProjectFile =
  | string
  | { readonly content?: string | Uint8Array; readonly mode?: number }
  | { readonly link: string };

/** An image of a project. */
export interface BuiltImage {
  /**
   * What the image has, a line each, sorted by path: `d 755 0:0 /dir`, `f 644 0:0 /file=content`, `s 0:0 /link -> target`, `p 644 0:0
   * /fifo`, with ` = /other /names` after a hard link. The root is left out.
   */
  readonly lines: readonly string[];
  /** Seconds, as the layer has them, by path. */
  readonly times: Readonly<Record<string, string>>;
  readonly layers: readonly (readonly TarEntry[])[];
  readonly config: ImageConfig;
  /** Steps that were in the cache. */
  readonly cached: number;
  /** Names of the rules that found something. */
  readonly warnings: readonly string[];
}

type Options = Omit<BuildOptions, 'outputs' | 'root' | 'dockerfile' | 'context'> &
  Pick<Partial<BuildOptions>, 'context' | 'dockerfile'>;

/** A build context on disk, and a store. */
export interface Project extends AsyncDisposable {
  /** The context's folder. */
  readonly path: string;
  /** Builds a Dockerfile; undefined: as the options say, else the one of the context. `$CONTEXT` in build contexts is the folder. */
  build(dockerfile: string | undefined, options?: Options): Promise<BuiltImage>;
  /** What the build is refused for: `CODE line:column message | hint`, with $CONTEXT for the folder. Fails when it is not refused. */
  fails(dockerfile: string | undefined, options?: Options): Promise<string>;
}

export async function makeProject(files: Readonly<Record<string, ProjectFile>>): Promise<Project> {
  const folder = await tempFolder('project');
  const path = join(realpathSync(folder.path), 'context');
  mkdirSync(path);
  putFiles(path, files);
  let count = 0;
  const run = async (dockerfile: string | undefined, options: Options = {}): Promise<BuiltImage> => {
    count += 1;
    const layout = join(path, '..', `layout-${count}`);
    const buildContexts = Object.fromEntries(
      Object.entries(options.buildContexts ?? {}).map(([name, spec]) => [
        name,
        spec.replaceAll('$CONTEXT', path),
      ]),
    );
    const { diagnostics, steps } = await build({
      context: path,
      env: {},
      ...(dockerfile === undefined ? {} : { dockerfile: { text: dockerfile } }),
      ...options,
      buildContexts,
      root: join(path, '../store'),
      outputs: [{ type: 'oci', tar: false, dest: layout }],
    });
    const { layers, config } = await readLayout(layout);
    rmSync(layout, { recursive: true });
    const warnings = diagnostics.map(({ rule }) => rule);
    return { ...describeLayers(layers), layers, config, cached: steps.cached, warnings };
  };
  return {
    path,
    build: run,
    fails: async (dockerfile, options) => {
      const error = await run(dockerfile, options).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!(error instanceof BuildError)) throw error ?? new Error('the build does not fail');
      return describeError(error).replaceAll(path, '$CONTEXT');
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** Writes files below a folder, parents too, all with the project's mtime. */
export function putFiles(root: string, files: Readonly<Record<string, ProjectFile>>): void {
  for (const [name, file] of Object.entries(files)) {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    if (typeof file === 'object' && 'link' in file) symlinkSync(file.link, path);
    else {
      const { content = '', mode } = typeof file === 'string' ? { content: file } : file;
      if (name.endsWith('/')) mkdirSync(path, { recursive: true });
      else writeFileSync(path, content);
      chmodSync(path, mode ?? (name.endsWith('/') ? 0o755 : 0o644));
    }
  }
  const named = new Set(Object.keys(files).map((name) => join(root, name.replace(/\/$/, ''))));
  const age = (path: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const below = join(path, entry.name);
      if (entry.isDirectory()) {
        if (!named.has(below)) chmodSync(below, 0o755);
        age(below);
      }
      lutimesSync(below, projectTime, projectTime);
    }
  };
  age(root);
}

/** As `BuiltImage.lines` and `times` have it. */
export function describeLayers(layers: BuiltImage['layers']): Pick<BuiltImage, 'lines' | 'times'> {
  const contents = new Map(layers.flat().map((entry) => [entry.path, entry]));
  const nodes = flatten(layers).filter(({ path }) => path !== '');
  const lines = nodes.map((node) => {
    const owner = `${node.uid}:${node.gid}`;
    const links = node.links.length === 0 ? '' : ` = ${node.links.map((link) => `/${link}`).join(' ')}`;
    if (node.type === 'symlink') return `s ${owner} /${node.path} -> ${node.linkTarget}${links}`;
    const mode = node.mode.replace(/^0/, '');
    const first = [node.path, ...node.links]
      .map((path) => contents.get(path))
      .find((entry) => entry?.type === 'file');
    const text =
      node.type === 'file' ? `=${(first?.content ?? Buffer.alloc(0)).toString().slice(0, 60)}` : '';
    const device = node.device === '' ? '' : ` ${node.device}`;
    const letter = node.type === 'fifo' ? 'p' : node.type[0];
    return `${letter} ${mode} ${owner} /${node.path}${text}${device}${links}`;
  });
  return { lines, times: Object.fromEntries(nodes.map(({ path, mtime }) => [`/${path}`, mtime])) };
}

function describeError({ code, message, hint, source }: BuildError): string {
  const { line, column } = source?.range.start ?? { line: '-', column: '-' };
  const name = source?.source.name ?? 'Dockerfile';
  const place = `${name === 'Dockerfile' ? '' : `${name}:`}${line}:${column}`;
  return `${code} ${place} ${message}${hint === undefined ? '' : ` | ${hint}`}`;
}
