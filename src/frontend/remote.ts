import type { GitOp, HttpOp } from '../graph/op.ts';
import { BuildError } from '../util/build-error.ts';
import { sourcePath } from './paths.ts';

/** Whether a source of ADD is fetched: a URL or a git repository (L-ADD-2, L-ADD-4). */
export function isRemote(text: string): boolean {
  return /^https?:\/\//i.test(text) || isGit(text);
}

/** A repository: `git@host:path`, `ssh://`, `git://`, or an HTTP URL whose path ends with `.git`. */
export function isGit(text: string): boolean {
  return (
    /^(?:git|ssh|git\+ssh):\/\//i.test(text) ||
    /^[\w.-]+@[\w.-]+:(?!\/\/)/.test(text) ||
    /^https?:\/\/[^?#]+\.git(?:[?#].*)?$/i.test(text)
  );
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

/**
 * The op for a git source: `url#ref:subdir`, or `url?ref=…&subdir=…`; an option that stands in both must agree (L-ADD-4).
 * Throws DOCKERFILE_BAD_ARGUMENT, and UNSUPPORTED_HERE for options that tsbuild does not have.
 */
export function gitOp(text: string): GitOp {
  const hash = text.indexOf('#');
  const beforeHash = hash < 0 ? text : text.slice(0, hash);
  const fragment = hash < 0 ? '' : text.slice(hash + 1);
  const question = beforeHash.indexOf('?');
  const url = question < 0 ? beforeHash : beforeHash.slice(0, question);
  const query = new URLSearchParams(question < 0 ? '' : beforeHash.slice(question + 1));
  const options = readQuery(query, text);
  const colon = fragment.indexOf(':');
  const fragmentRef = colon < 0 ? fragment : fragment.slice(0, colon);
  const fragmentDir = colon < 0 ? '' : fragment.slice(colon + 1);
  if (fragment !== '' && question >= 0 && (options.ref !== undefined || options.subdir !== undefined)) {
    throw bad(`\`${text}\` has both a fragment and a query that name a ref or a directory`);
  }
  const ref = options.ref ?? (fragmentRef === '' ? undefined : fragmentRef);
  const subdir = sourcePath(options.subdir ?? fragmentDir);
  if (ref?.startsWith('-') === true) throw bad(`\`${ref}\` cannot be a ref`);
  return {
    kind: 'git',
    url,
    ...(ref === undefined ? {} : { ref }),
    ...(subdir === '' ? {} : { subdir }),
    ...(options.keepGitDir === undefined ? {} : { keepGitDir: options.keepGitDir }),
    ...(options.checksum === undefined ? {} : { checksum: options.checksum }),
    ...(options.submodules === undefined ? {} : { submodules: options.submodules }),
  };
}

interface GitOptions {
  ref?: string;
  subdir?: string;
  checksum?: string;
  keepGitDir?: boolean;
  submodules?: boolean;
}

function readQuery(query: URLSearchParams, text: string): GitOptions {
  const options: GitOptions = {};
  const refs = ['ref', 'tag', 'branch'].filter((key) => query.has(key));
  if (refs.length > 1) throw bad(`\`${text}\` has more than one of ref, tag and branch`);
  for (const [key, value] of query) {
    if (key === 'ref') options.ref = value;
    else if (key === 'tag') options.ref = `refs/tags/${value}`;
    else if (key === 'branch') options.ref = `refs/heads/${value}`;
    else if (key === 'subdir') options.subdir = value;
    else if (key === 'checksum' || key === 'commit') options.checksum = gitChecksum(value);
    else if (key === 'keep-git-dir') options.keepGitDir = readBool(key, value);
    else if (key === 'submodules') options.submodules = readBool(key, value);
    else if (key === 'mtime' && value === 'checkout') continue;
    else if (key === 'mtime' || key === 'fetch-by-commit') {
      throw new BuildError('UNSUPPORTED_HERE', `\`${key}\` of a git source is not supported`);
    } else throw bad(`a git source has no option \`${key}\``);
  }
  return options;
}

/** A commit or the beginning of one. Throws DOCKERFILE_BAD_ARGUMENT. */
export function gitChecksum(text: string): string {
  if (/^[a-f0-9]{7,64}$/.test(text)) return text;
  throw bad(`\`${text}\` is no commit`);
}

function readBool(key: string, value: string): boolean {
  if (value === '' || value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw bad(`\`${key}\` is either true or false, not \`${value}\``);
}

function bad(message: string): BuildError {
  return new BuildError('DOCKERFILE_BAD_ARGUMENT', message);
}
