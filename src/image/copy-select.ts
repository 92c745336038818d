import { BuildError } from '../util/build-error.ts';
import type { Glob } from '../util/glob.ts';
import { BadPattern, compileCopyGlob, hasWildcard, matchGlob, unescapeGlob } from '../util/glob.ts';
import type { PatternList } from '../util/pattern-list.ts';
import { parseIgnorePattern, patternList } from '../util/pattern-list.ts';
import { missingSource } from './copy-missing.ts';
import type { CopyInputSource, CopySpec } from './copy-spec.ts';
import { cleanPath } from './copy-spec.ts';
import type { Entry } from './entry.ts';
import { baseName, compareBytes, joinPath } from './entry-path.ts';
import type { Tree } from './tree.ts';

/** One file or directory that a source names. */
export interface Match {
  readonly entry: Entry;
  /** Where it really is in its tree. */
  readonly path: string;
  /** The last part as it was named: its name in a destination directory. */
  readonly name: string;
  /** Its path below the fixed part of a pattern, or below the pivot of --parents: what --exclude is matched with too. */
  readonly below: string;
  /** --parents: the fixed part, in the tree. */
  readonly pivot: string;
  readonly wildcard: boolean;
}

/** One file of a match; `rel` is its path below the match, '' the match itself. */
export interface SelectedEntry {
  readonly match: Match;
  readonly rel: string;
  readonly entry: Entry;
}

/**
 * All that one source selects, matches in the order in which they are written and patterns by bytes, --exclude applied: each
 * directory before what is in it (L-COPY-8, 9, 15, 16). A directory that is excluded comes as far as something below it is taken
 * back. Throws COPY_SOURCE_MISSING, COPY_INVALID.
 */
export async function* selectEntries(
  spec: CopySpec,
  source: CopyInputSource,
  tree: Tree,
): AsyncGenerator<SelectedEntry> {
  const exclude = excludeList(spec.exclude);
  for (const match of await matchSources(spec, source, tree)) {
    const named = match.wildcard || spec.parents;
    const isExcluded = (rel: string): boolean => {
      if (exclude === undefined) return false;
      if (rel === '' && match.entry.type !== 'directory' && exclude.excluded(match.name) !== undefined)
        return true;
      if (rel !== '' && exclude.excluded(rel) !== undefined) return true;
      return named && exclude.excluded(joinPath(match.below, rel).replace(/\/$/, '')) !== undefined;
    };
    if (match.entry.type !== 'directory') {
      if (!isExcluded('')) yield { match, rel: '', entry: match.entry };
      continue;
    }
    // Excluded directories, kept until something below them is taken.
    const waiting = new Map<string, Entry>();
    for await (const entry of tree.walk(match.path)) {
      const rel =
        entry.path === match.path ? '' : entry.path.slice(match.path === '' ? 0 : match.path.length + 1);
      if (isExcluded(rel)) {
        if (entry.type === 'directory') waiting.set(rel, entry);
        continue;
      }
      if (waiting.size > 0) {
        for (const above of ancestors(rel)) {
          const directory = waiting.get(above);
          if (directory !== undefined) yield { match, rel: above, entry: directory };
          waiting.delete(above);
        }
      }
      yield { match, rel, entry };
    }
  }
}

/** '' and the directories on the way to `path`, outermost first. */
export function ancestors(path: string): string[] {
  if (path === '') return [];
  const parts = path.split('/');
  return parts.map((_, index) => parts.slice(0, index).join('/'));
}

function excludeList(texts: readonly string[]): PatternList | undefined {
  if (texts.length === 0) return undefined;
  const patterns = texts.flatMap((text) => {
    try {
      return parseIgnorePattern(text, 0) ?? [];
    } catch (error) {
      if (!(error instanceof BadPattern)) throw error;
      throw new BuildError('COPY_INVALID', `bad --exclude: ${error.message}`, { cause: error });
    }
  });
  return patternList(patterns);
}

/** What the paths of a source name, without duplicates. Throws COPY_SOURCE_MISSING for a path without wildcards that is not there. */
export async function matchSources(
  spec: CopySpec,
  source: CopyInputSource,
  tree: Tree,
): Promise<readonly Match[]> {
  const matches: Match[] = [];
  for (const path of source.paths) {
    matches.push(...(spec.parents ? await matchWithParents(tree, path) : await matchOne(tree, path)));
  }
  return matches;
}

async function matchOne(tree: Tree, written: string): Promise<readonly Match[]> {
  const path = cleanPath(written);
  if (!hasWildcard(path)) return [await literalMatch(tree, written, path)];
  const { fixed, pattern } = splitPattern(path);
  const start = await tree.resolve(fixed);
  const found = await expand(tree, start, compileParts(pattern, false));
  const matches: Match[] = [];
  for (const item of found) {
    // A link that a pattern names is followed, as one that is named in full.
    const real = await tree.resolve(item);
    const entry = await lstatFile(tree, real);
    if (entry === undefined) continue;
    const below = item.slice(start === '' ? 0 : start.length + 1);
    matches.push({ entry, path: real, name: baseName(item), below, pivot: start, wildcard: true });
  }
  return matches;
}

async function literalMatch(tree: Tree, written: string, path: string): Promise<Match> {
  // A backslash is a character of the name where such a name exists, else it escapes the next one.
  for (const name of new Set([path, unescapeGlob(path)])) {
    const real = await tree.resolve(name);
    const entry = await lstatFile(tree, real);
    if (entry !== undefined) {
      return { entry, path: real, name: baseName(name), below: baseName(name), pivot: '', wildcard: false };
    }
  }
  throw await missingSource(tree, written, path);
}

async function matchWithParents(tree: Tree, written: string): Promise<readonly Match[]> {
  const pivotAt = `${written}/`.indexOf('/./');
  const before = pivotAt === -1 ? '' : cleanPath(written.slice(0, pivotAt));
  const path = cleanPath(pivotAt === -1 ? written : written.slice(pivotAt + 2));
  const pivot = await tree.resolve(before);
  // Names are kept, so links are copied as links.
  const take = async (item: string, wildcard: boolean): Promise<Match | undefined> => {
    const whole = joinPath(pivot, item).replace(/\/$/, '');
    const real = await tree.resolve(whole, 'keep');
    const entry = await lstatFile(tree, real);
    if (entry === undefined) return undefined;
    return { entry, path: real, name: baseName(item), below: item, pivot, wildcard };
  };
  if (!hasWildcard(path)) {
    const match = (await take(path, false)) ?? (await take(unescapeGlob(path), false));
    if (match === undefined) throw await missingSource(tree, written, joinPath(before, path));
    return [match];
  }
  const found = await expand(tree, pivot, compileParts(path, true));
  const matches: Match[] = [];
  for (const item of found) {
    const match = await take(item.slice(pivot === '' ? 0 : pivot.length + 1), true);
    if (match !== undefined) matches.push(match);
  }
  return matches;
}

/** The leading parts without wildcards, unescaped, and the rest. */
function splitPattern(path: string): { readonly fixed: string; readonly pattern: string } {
  const parts = path.split('/');
  const first = parts.findIndex(hasWildcard);
  return { fixed: unescapeGlob(parts.slice(0, first).join('/')), pattern: parts.slice(first).join('/') };
}

function compileParts(pattern: string, globstar: boolean): readonly (Glob | '**')[] {
  return pattern
    .split('/')
    .map((part) => (globstar && part === '**' ? '**' : compileCopyGlob(part, { globstar: false })));
}

/** Paths below `start` that match, sorted by bytes. Links are not followed on the way. */
async function expand(
  tree: Tree,
  start: string,
  parts: readonly (Glob | '**')[],
): Promise<readonly string[]> {
  const found = new Set<string>();
  // With several `**` a directory is reached in many ways; each counts once.
  const seen = new Set<string>();
  const visit = async (directory: string, at: number): Promise<void> => {
    const part = parts[at];
    const key = `${at}:${directory}`;
    if (part === undefined || seen.has(key)) return;
    seen.add(key);
    const last = at === parts.length - 1;
    // `a/**/b` is also `a/b`; a final `**` takes all that is directly below, with what is in it.
    if (part === '**' && !last) await visit(directory, at + 1);
    for (const name of await tree.list(directory)) {
      if (part !== '**' && !matchGlob(part, name)) continue;
      const path = joinPath(directory, name);
      if (last) found.add(path);
      else if ((await tree.lstat(path))?.type === 'directory') await visit(path, part === '**' ? at : at + 1);
    }
  };
  await visit(start, 0);
  return [...found].toSorted(comparePaths);
}

/** An entry that has content of its own: what shares its content with another path counts as a file here. */
export async function lstatFile(tree: Tree, path: string): Promise<Entry | undefined> {
  const entry = await tree.lstat(path);
  if (entry?.type !== 'hardlink' || entry.linkTarget === undefined) return entry;
  const target = await tree.lstat(entry.linkTarget);
  return target === undefined ? undefined : { ...target, path };
}

/** Directories between the pivot of --parents and a match, outermost first, as the tree has them. */
export async function keptParents(
  tree: Tree,
  match: Match,
): Promise<readonly { readonly below: string; readonly entry: Entry }[]> {
  const found: { below: string; entry: Entry }[] = [];
  for (const below of ancestors(match.below).slice(1)) {
    const entry = await tree.lstat(await tree.resolve(joinPath(match.pivot, below)));
    if (entry !== undefined) found.push({ below, entry });
  }
  return found;
}

/** Sorts paths so that directories stand before what is in them, siblings by bytes. */
export function comparePaths(a: string, b: string): number {
  return compareBytes(a.replaceAll('/', '\0'), b.replaceAll('/', '\0'));
}
