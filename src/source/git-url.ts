import { BuildError } from '../util/build-error.ts';

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
}

const scpForm = /^[\w.-]+@[\w.-]+:(?!\/\/)[^?#]+/;
const known = new Set(['ref', 'tag', 'branch', 'subdir', 'checksum', 'commit', 'keep-git-dir', 'submodules']);

/**
 * Reads `git@host:path`, `ssh://`, `git://`, and `http(s)://….git`, each with `#ref:subdir` or a query (`ref`, `tag`, `branch`, `subdir`,
 * `checksum`, `commit`, `keep-git-dir`, `submodules`). undefined: the text is no git URL. Throws CONTEXT_INVALID for a key
 * that is not known, two values for one thing, or text that git could take for an option.
 */
export function parseGitUrl(text: string): GitUrl | undefined {
  const hash = text.indexOf('#');
  const fragment = hash === -1 ? '' : text.slice(hash + 1);
  const withQuery = hash === -1 ? text : text.slice(0, hash);
  const mark = withQuery.indexOf('?');
  const url = mark === -1 ? withQuery : withQuery.slice(0, mark);
  const isGit =
    scpForm.test(url) || /^(?:ssh|git):\/\/[^/]/i.test(url) || /^https?:\/\/[^/].*\.git$/i.test(url);
  if (!isGit) return undefined;
  const query = new URLSearchParams(mark === -1 ? '' : withQuery.slice(mark + 1));
  for (const key of query.keys()) {
    if (!known.has(key))
      throw invalid(text, `does not know \`${key}\``, `known are ${[...known].join(', ')}`);
  }
  const colon = fragment.indexOf(':');
  const take = (...values: readonly (string | null | undefined)[]): string | undefined => {
    const given = [
      ...new Set(values.filter((value) => value !== null && value !== undefined && value !== '')),
    ];
    if (given.length > 1) throw invalid(text, `says both \`${given[0]}\` and \`${given[1]}\``, 'say it once');
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
    throw invalid(text, 'has a ref that no git ref can be', 'name a branch, a tag or a commit');
  }
  if (checksum !== undefined && !/^[a-f0-9]{7,64}$/.test(checksum)) {
    throw invalid(text, 'has a checksum that is no commit', 'give 7 to 64 hexadecimal digits');
  }
  const keepGitDir = flag(text, 'keep-git-dir', query);
  const submodules = flag(text, 'submodules', query);
  return {
    url,
    ...(ref === undefined ? {} : { ref }),
    ...(subdir === undefined ? {} : { subdir }),
    ...(checksum === undefined ? {} : { checksum }),
    ...(keepGitDir === undefined ? {} : { keepGitDir }),
    ...(submodules === undefined ? {} : { submodules }),
  };
}

function flag(text: string, key: string, query: URLSearchParams): boolean | undefined {
  const value = query.get(key);
  if (value === null) return undefined;
  if (['', '1', 'true'].includes(value)) return true;
  if (['0', 'false'].includes(value)) return false;
  throw invalid(text, `has \`${key}=${value}\``, 'it is true or false');
}

function invalid(text: string, why: string, hint: string): BuildError {
  const shown = text.replace(/\/\/[^/@]*@/, '//').slice(0, 200);
  return new BuildError('CONTEXT_INVALID', `the git URL \`${shown}\` ${why}`, { hint });
}
