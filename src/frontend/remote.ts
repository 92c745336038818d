import type { GitOp, HttpOp } from '../graph/op.ts';
import { BuildError } from '../util/build-error.ts';
import { isGitUrl, parseGitUrl } from '../util/git-url.ts';
import { sourcePath } from './paths.ts';

/** Whether a source of ADD is fetched: a URL or a git repository (L-ADD-2, L-ADD-4). */
export function isRemote(text: string): boolean {
  return /^https?:\/\//i.test(text) || isGitUrl(text);
}

/** A text in which the passwords of URLs cannot be read: history and step names reach others. */
export function withoutCredentials(text: string): string {
  return text.replace(/\b([a-z][a-z+]{0,15}:\/\/)[^/@\s]+@/gi, '$1xxxxx@');
}

/** The op for an HTTP source; its file is called like the last part of the URL's path. Throws DOCKERFILE_BAD_ARGUMENT. */
export function httpOp(text: string): HttpOp {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new BuildError('DOCKERFILE_BAD_ARGUMENT', `\`${text}\` is no URL`, { cause });
  }
  return { kind: 'http', url: text, filename: fileName(url) };
}

function fileName(url: URL): string {
  let path = url.pathname;
  try {
    path = decodeURIComponent(path);
  } catch {
    // A path that is not well encoded is taken as written.
  }
  const name = path.replace(/\/+$/, '').split('/').at(-1) ?? '';
  return name === '' || name === '.' || name === '..' || name.includes('\0') ? '__unnamed__' : name;
}

/** The op for a git source (L-ADD-4). Throws DOCKERFILE_BAD_ARGUMENT. */
export function gitOp(text: string): GitOp {
  const { subdir, ...source } = parseGitUrl(text, 'DOCKERFILE_BAD_ARGUMENT');
  const directory = sourcePath(subdir ?? '');
  return { kind: 'git', ...source, ...(directory === '' ? {} : { subdir: directory }) };
}

/** A commit or the beginning of one. Throws DOCKERFILE_BAD_ARGUMENT. */
export function gitChecksum(text: string): string {
  if (/^[a-f0-9]{7,64}$/.test(text)) return text;
  throw bad(`\`${text}\` is no commit`);
}

function bad(message: string): BuildError {
  return new BuildError('DOCKERFILE_BAD_ARGUMENT', message);
}
