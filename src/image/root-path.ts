import { BuildError } from '../util/build-error.ts';
import { joinPath, parentPath } from './entry-path.ts';

/** What scoped resolution has to know of a path; undefined where nothing is there. */
export type LinkStat = { readonly type: string; readonly linkTarget?: string } | undefined;

/** Links that one path may go through, as in S-P-1; the kernel allows fewer. */
const maxLinks = 255;

/**
 * Where `path` leads inside its root (S-P-1): component by component, absolute targets start at the root again, `..` stops
 * there, at most 255 links. Parts that do not exist are kept as they are. `lstat` gets paths of the form of `Entry.path`
 * and must not follow links. Throws COPY_INVALID for a loop.
 */
export async function resolveInRoot(
  tree: { lstat(path: string): Promise<LinkStat> },
  path: string,
  last: 'follow' | 'keep' = 'follow',
): Promise<string> {
  const steps = walk(path, last);
  let step = steps.next();
  while (step.done !== true) step = steps.next(await tree.lstat(step.value));
  return step.value;
}

/** The same where `lstat` answers at once. */
export function resolveInRootSync(
  tree: { lstat(path: string): LinkStat },
  path: string,
  last: 'follow' | 'keep' = 'follow',
): string {
  const steps = walk(path, last);
  let step = steps.next();
  while (step.done !== true) step = steps.next(tree.lstat(step.value));
  return step.value;
}

/** Yields each path to look at. */
function* walk(path: string, last: 'follow' | 'keep'): Generator<string, string, LinkStat> {
  const waiting = path.split('/').toReversed();
  let resolved = '';
  let links = 0;
  // Below something that is not there nothing can be a link.
  let missing = 0;
  while (waiting.length > 0) {
    const part = waiting.pop();
    if (part === undefined || part === '' || part === '.') continue;
    if (part === '..') {
      resolved = parentPath(resolved);
      if (missing > 0) missing -= 1;
      continue;
    }
    const next = joinPath(resolved, part);
    if (missing > 0) {
      missing += 1;
      resolved = next;
      continue;
    }
    const isLast = waiting.every((rest) => rest === '' || rest === '.');
    if (isLast && last === 'keep') return next;
    const found = yield next;
    if (found === undefined) missing = 1;
    if (found?.type !== 'symlink') {
      resolved = next;
      continue;
    }
    links += 1;
    if (links > maxLinks) {
      throw new BuildError('COPY_INVALID', `\`/${path}\` goes through more than ${maxLinks} symbolic links`);
    }
    const target = found.linkTarget ?? '';
    if (target.startsWith('/')) resolved = '';
    waiting.push(...target.split('/').toReversed());
  }
  return resolved;
}
