import { createReadStream } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve as resolvePath } from 'node:path';
import type { Tree } from '../image/tree.ts';
import { BuildError } from '../util/build-error.ts';
import { inWords } from '../util/system-error.ts';
import type { SourceText } from '../util/source.ts';
import type { ByteStream } from '../util/streams.ts';
import { readAll } from '../util/streams.ts';
import type { IgnoreFile } from './ignore.ts';
import { parseIgnore } from './ignore.ts';

/** A path, a URL, `-` for standard input, or the text itself. */
export type DockerfileSpec = string | { readonly text: string } | { readonly stream: ByteStream };

/** Where to look. A tree that is not filtered by an ignore file: the Dockerfile may be listed there (L-IGN-4). */
export interface DockerfilePlace {
  readonly tree: Tree;
  /** The context's, when it is local: then paths start at the working directory, else in the context. */
  readonly directory?: string;
  readonly options: {
    readonly dockerfile?: DockerfileSpec | false | undefined;
    readonly env: NodeJS.ProcessEnv;
    readonly tempDir: () => Promise<string>;
    readonly signal?: AbortSignal | undefined;
    readonly cwd?: string | undefined;
    readonly stdin?: ByteStream | undefined;
    /** The context as the user named it, for hints. */
    readonly contextName?: string | undefined;
  };
}

/** Bytes that a Dockerfile or an ignore file may have. */
export const dockerfileLimit: number = 16 * 1024 * 1024;

/**
 * Finds and reads the Dockerfile (L-PARSE-10). Inside a context no link leads out of it (CVE-2022-4122). Throws DOCKERFILE_NOT_FOUND
 * with the names that are near.
 */
export async function readDockerfile(place: DockerfilePlace): Promise<SourceText> {
  const { options } = place;
  const spec = options.dockerfile;
  if (spec === false) throw new TypeError('a named context has no Dockerfile');
  if (typeof spec === 'object') {
    const text = 'text' in spec ? spec.text : await limited(spec.stream, 'Dockerfile');
    return { name: 'Dockerfile', text };
  }
  if (spec === '-')
    return { name: 'Dockerfile', text: await limited(options.stdin ?? process.stdin, 'Dockerfile') };
  if (spec !== undefined && /^https?:\/\//i.test(spec)) {
    const { fetchFile } = await import('./http.ts');
    const { file } = await fetchFile({ url: spec }, { ...options, cacheDir: await options.tempDir() });
    return { name: spec, text: await limited(createReadStream(file), spec) };
  }
  for (const name of spec === undefined ? ['Dockerfile', 'dockerfile'] : [spec]) {
    const where = spec === undefined ? { inTree: name } : locate(place, spec);
    const text = await readNamed(place, where);
    if (text === undefined) continue;
    const file = await fileOf(place, where);
    return { name, text, ...(file === undefined ? {} : { file }) };
  }
  throw await notFound(place, spec);
}

/** The ignore file that counts: the one beside the Dockerfile and named after it, else `.dockerignore` in the context (L-IGN-1). */
export async function findIgnoreFile(place: DockerfilePlace): Promise<IgnoreFile | undefined> {
  const spec = place.options.dockerfile;
  const isPath = typeof spec === 'string' && spec !== '-' && !/^https?:\/\//i.test(spec);
  const candidates: { readonly name: string; readonly where: Where }[] = [];
  if (isPath) candidates.push({ name: `${spec}.dockerignore`, where: locate(place, `${spec}.dockerignore`) });
  if (spec === undefined) {
    candidates.push({ name: 'Dockerfile.dockerignore', where: { inTree: 'Dockerfile.dockerignore' } });
  }
  // With several contexts messages must say which one's it is.
  const prefix = spec === false ? `${place.options.contextName ?? '.'}/` : '';
  candidates.push({ name: `${prefix}.dockerignore`, where: { inTree: '.dockerignore' } });
  for (const { name, where } of candidates) {
    const text = await readNamed(place, where);
    if (text !== undefined) return parseIgnore(text, name);
  }
  return undefined;
}

type Where = { readonly inTree: string } | { readonly file: string };

/** A path that lies in the context is read as part of it, so that a context from elsewhere cannot name our files by a link. */
function locate({ directory, options }: DockerfilePlace, path: string): Where {
  if (directory === undefined) return { inTree: path };
  const file = resolvePath(options.cwd ?? process.cwd(), path);
  const context = resolvePath(options.cwd ?? process.cwd(), options.contextName ?? directory);
  for (const root of [context, directory]) {
    const inside = relative(root, file);
    if (inside !== '' && inside.split('/')[0] !== '..' && !isAbsolute(inside)) return { inTree: inside };
  }
  return { file };
}

/** The file itself, behind all links. */
async function fileOf({ tree, directory }: DockerfilePlace, where: Where): Promise<string | undefined> {
  if ('file' in where) return realpath(where.file).catch(() => undefined);
  return directory === undefined ? undefined : join(directory, await tree.resolve(where.inTree));
}

async function readNamed(place: DockerfilePlace, where: Where): Promise<string | undefined> {
  if ('file' in where) {
    try {
      return await limited(createReadStream(where.file), where.file);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return undefined;
      throw error instanceof BuildError ? error : unreadable(where.file, inWords(error), error);
    }
  }
  const path = await place.tree.resolve(where.inTree).catch((error: unknown) => {
    // Links that lead in a circle.
    throw unreadable(where.inTree, inWords(error), error);
  });
  const entry = await place.tree.lstat(path);
  if (entry?.type !== 'file' || entry.content === undefined) return undefined;
  if (entry.size > dockerfileLimit) throw unreadable(where.inTree, 'it is larger than 16 MiB');
  return limited(entry.content(), where.inTree);
}

async function limited(stream: ByteStream, name: string): Promise<string> {
  try {
    return (await readAll(stream, dockerfileLimit)).toString('utf8');
  } catch (error) {
    if (error instanceof RangeError) throw unreadable(name, 'it is larger than 16 MiB', error);
    throw error;
  }
}

function unreadable(name: string, why: string, cause?: unknown): BuildError {
  return new BuildError('DOCKERFILE_NOT_FOUND', `cannot read \`${name}\`: ${why}`, {
    hint: 'make it readable, or name another file with -f',
    cause,
  });
}

async function notFound(place: DockerfilePlace, spec: string | undefined): Promise<BuildError> {
  const { tree, directory, options } = place;
  const wanted = spec ?? 'Dockerfile';
  const context = options.contextName ?? '.';
  const near = await nearNames(place, spec);
  const inContext =
    spec === undefined ? undefined : await readNamed(place, { inTree: spec }).catch(() => undefined);
  const where = spec === undefined ? { inTree: wanted } : locate(place, wanted);
  const link = 'inTree' in where ? await tree.lstat(await tree.resolve(where.inTree, 'keep')) : undefined;
  const from = directory === undefined ? 'root of the context' : 'working directory';
  let hint = `name it with -f${spec === undefined ? '' : `, as seen from the ${from}`}`;
  if (inContext !== undefined) {
    hint = `-f is relative to the working directory: did you mean \`-f ${join(context, wanted)}\`?`;
  } else if (link?.type === 'symlink') {
    hint = `it is a link to \`${link.linkTarget ?? ''}\`, which the context does not have: name the file itself with -f`;
  } else if (near.length > 0) {
    hint = `there is ${near
      .slice(0, 3)
      .map((name) => `\`${name}\``)
      .join(', ')}: name it with -f`;
  }
  const missing =
    spec === undefined ? 'there is no Dockerfile in the build context' : `there is no \`${spec}\``;
  const message = (await isDirectory(place, where))
    ? `\`${wanted}\` is a directory, not a Dockerfile`
    : missing;
  return new BuildError('DOCKERFILE_NOT_FOUND', message, {
    hint,
    details: { dockerfile: wanted, context, near },
  });
}

async function isDirectory({ tree }: DockerfilePlace, where: Where): Promise<boolean> {
  if ('inTree' in where) return (await tree.lstat(await tree.resolve(where.inTree)))?.type === 'directory';
  return stat(where.file).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/**
 * What could have been meant, as -f takes it: files that look like Dockerfiles, beside the one that was named and in the context.
 */
async function nearNames(place: DockerfilePlace, spec: string | undefined): Promise<readonly string[]> {
  const { tree, directory, options } = place;
  const isMeant = (name: string): boolean =>
    /docker|container/i.test(name) && !name.startsWith('.docker') && !/ignore$/.test(name);
  const inContext = (await tree.list('')).filter(isMeant);
  // A context from elsewhere has no place here: -f is below its root.
  const prefix = directory === undefined ? '' : (options.contextName ?? '.');
  const asFlag = inContext.map((name) => join(prefix, name));
  if (spec === undefined) return asFlag;
  const where = locate(place, join(spec, '..'));
  const beside = (
    'inTree' in where
      ? await tree.list(await tree.resolve(where.inTree)).catch(() => [])
      : await readdir(where.file).catch(() => [])
  )
    .filter(isMeant)
    .map((name) => join(spec, '..', name));
  return [...new Set([...beside, ...asFlag])].filter((name) => name !== spec);
}
