import { BuildError } from './build-error.ts';
import type { ErrorCode } from './error-codes.ts';
import { redactUrl } from './redact.ts';

/** A git repository as a context or ADD names it (L-ADD-4). */
export interface GitUrl {
  /** What git is given, without fragment and query. */
  readonly url: string;
  readonly ref?: string;
  /** Cleaned, relative to the root of the repository. */
  readonly subdir?: string;
  readonly checksum?: string;
  readonly keepGitDir?: boolean;
  readonly submodules?: boolean;
  /** Files have the time of the commit, not that of the checkout. */
  readonly mtime?: 'commit';
  /** The commit is asked for by its id, and `ref` is not looked at. */
  readonly fetchByCommit?: boolean;
}

const scpForm = /^[\w.-]+@[\w.-]+:(?!\/\/)[^?#]+/;
const known = new Set([
  'ref',
  'tag',
  'branch',
  'subdir',
  'checksum',
  'commit',
  'keep-git-dir',
  'submodules',
  'mtime',
  'fetch-by-commit',
]);

/** `git@host:path`, `ssh://`, `git://`, or an HTTP URL whose path ends with `.git`. */
export function isGitUrl(text: string): boolean {
  const url = text.replace(/[?#].*$/s, '');
  return (
    scpForm.test(url) || /^(?:ssh|git|git\+ssh):\/\/[^/]/i.test(url) || /^https?:\/\/[^/].*\.git$/i.test(url)
  );
}

/**
 * Reads a git URL with `#ref:subdir` or a query (`ref`, `tag`, `branch`, `subdir`, `checksum`, `commit`, `keep-git-dir`, `submodules`,
 * `mtime`, `fetch-by-commit`). Throws `code` for a key that is not known, two values for one thing, or text that git could take for an
 * option.
 */
export function parseGitUrl(text: string, code: ErrorCode): GitUrl {
  const invalid = (why: string, hint: string): BuildError =>
    new BuildError(code, `the git URL \`${redactUrl(text).slice(0, 200)}\` ${why}`, { hint });
  const hash = text.indexOf('#');
  const fragment = hash === -1 ? '' : text.slice(hash + 1);
  const withQuery = hash === -1 ? text : text.slice(0, hash);
  const mark = withQuery.indexOf('?');
  const url = mark === -1 ? withQuery : withQuery.slice(0, mark);
  const query = new URLSearchParams(mark === -1 ? '' : withQuery.slice(mark + 1));
  for (const key of query.keys()) {
    if (!known.has(key)) throw invalid(`does not know \`${key}\``, `known are ${[...known].join(', ')}`);
  }
  const colon = fragment.indexOf(':');
  const take = (...values: readonly (string | null | undefined)[]): string | undefined => {
    const given = [
      ...new Set(values.filter((value) => value !== null && value !== undefined && value !== '')),
    ];
    if (given.length > 1) throw invalid(`says both \`${given[0]}\` and \`${given[1]}\``, 'say it once');
    return given[0] ?? undefined;
  };
  const prefixed = (prefix: string, value: string | null): string | null =>
    value === null || value === '' || value.startsWith(prefix) ? value : prefix + value;
  const ref = take(
    colon === -1 ? fragment : fragment.slice(0, colon),
    query.get('ref'),
    prefixed('refs/tags/', query.get('tag')),
    prefixed('refs/heads/', query.get('branch')),
  );
  const subdir = take(colon === -1 ? '' : fragment.slice(colon + 1), query.get('subdir'));
  const checksum = take(query.get('checksum'), query.get('commit'));
  if (ref?.startsWith('-') === true || /[\0-\x20\x7f~^:?*[\\]/.test(ref ?? '')) {
    throw invalid('has a ref that no git ref can be', 'name a branch, a tag or a commit');
  }
  if (checksum !== undefined && !/^[a-f0-9]{7,64}$/.test(checksum)) {
    throw invalid('has a checksum that is no commit', 'give 7 to 64 hexadecimal digits');
  }
  const flag = (key: string): boolean | undefined => {
    const value = query.get(key);
    if (value === null) return undefined;
    if (['', '1', 'true'].includes(value)) return true;
    if (['0', 'false'].includes(value)) return false;
    throw invalid(`has \`${key}=${value}\``, 'it is true or false');
  };
  const keepGitDir = flag('keep-git-dir');
  const submodules = flag('submodules');
  const fetchByCommit = flag('fetch-by-commit');
  if (fetchByCommit === true && !/^(?:[a-f0-9]{40}|[a-f0-9]{64})$/.test(checksum ?? ''))
    throw invalid('has `fetch-by-commit` without a whole commit', 'add commit=<40 or 64 hexadecimal digits>');
  const mtime = query.get('mtime') ?? 'checkout';
  if (mtime !== 'checkout' && mtime !== 'commit')
    throw invalid(`has \`mtime=${mtime}\``, 'it is checkout or commit');
  return {
    url,
    ...(ref === undefined ? {} : { ref }),
    ...(subdir === undefined ? {} : { subdir }),
    ...(checksum === undefined ? {} : { checksum }),
    ...(keepGitDir === undefined ? {} : { keepGitDir }),
    ...(submodules === undefined ? {} : { submodules }),
    ...(mtime === 'commit' ? { mtime } : {}),
    ...(fetchByCommit === true ? { fetchByCommit } : {}),
  };
}
