import { BuildError } from '../util/build-error.ts';
import type { Glob } from '../util/glob.ts';
import {
  BadPattern,
  compileCopyGlob,
  hasWildcard,
  matchGlob,
  mayMatchBelow,
  unescapeGlob,
} from '../util/glob.ts';
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
    const isExcluded = exclusion(match, exclude, spec.parents);
    if (match.entry.type !== 'directory') {
      if (!isExcluded('')) yield { match, rel: '', entry: match.entry };
      continue;
    }
    if (!spec.parents && isExcluded('')) continue;
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

/**
 * What --exclude leaves out of a match (L-COPY-16). Its patterns are relative to the source directory: the one that is copied; with
 * --parents the root, or what stands before the pivot. A file, or what a wildcard found, is also left out by its own name, as the
 * documents say; Docker's code forgets that (moby/buildkit#5489).
 */
function exclusion(
  match: Match,
  exclude: PatternList | undefined,
  parents: boolean,
): (rel: string) => boolean {
  if (exclude === undefined) return () => false;
  if (parents) return (rel) => exclude.excluded(joinPath(match.below, rel).replace(/\/$/, '')) !== undefined;
  const named = match.wildcard || match.entry.type !== 'directory';
  const own = named && exclude.excluded(match.below) !== undefined;
  return (rel) => (rel === '' ? own : exclude.excluded(rel) !== undefined);
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
  const { start, found } = await findMatches(tree, path);
  const matches: Match[] = [];
  for (const item of found) {
    // A link that a pattern names is followed, as one that is named in full.
    const real = await tree.resolve(item);
    const entry = await lstatFile(tree, real);
    if (entry === undefined) throw await missingSource(tree, written, item);
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
  throw await missingSource(tree, written, unescapeGlob(path));
}

async function matchWithParents(tree: Tree, written: string): Promise<readonly Match[]> {
  const pivotAt = `${written}/`.indexOf('/./');
  const before = pivotAt === -1 ? '' : cleanPath(written.slice(0, pivotAt));
  const path = cleanPath(pivotAt === -1 ? written : written.slice(pivotAt + 2));
  const matches: Match[] = [];
  for (const pivot of await pivots(tree, before)) matches.push(...(await matchBelow(tree, pivot, path)));
  if (matches.length === 0 && !hasWildcard(before) && !hasWildcard(path)) {
    throw await missingSource(tree, written, unescapeGlob(joinPath(before, path)));
  }
  return matches;
}

/** The directories that what stands before `/./` names. */
async function pivots(tree: Tree, before: string): Promise<readonly string[]> {
  if (!hasWildcard(before)) return [await tree.resolve(unescapeGlob(before))];
  const found: string[] = [];
  for (const item of (await findMatches(tree, before)).found) {
    const real = await tree.resolve(item);
    if ((await tree.lstat(real))?.type === 'directory') found.push(real);
  }
  return found;
}

/** What a path or pattern names below the pivot. Names are kept, so links are copied as links. */
async function matchBelow(tree: Tree, pivot: string, path: string): Promise<readonly Match[]> {
  const take = async (below: string, wildcard: boolean): Promise<readonly Match[]> => {
    const real = await tree.resolve(joinPath(pivot, below).replace(/\/$/, ''), 'keep');
    const entry = await lstatFile(tree, real);
    return entry === undefined ? [] : [{ entry, path: real, name: baseName(below), below, pivot, wildcard }];
  };
  if (!hasWildcard(path)) {
    const exact = await take(path, false);
    return exact.length > 0 ? exact : take(unescapeGlob(path), false);
  }
  const matches: Match[] = [];
  for (const item of await expand(tree, pivot, compileCopyGlob(path, { globstar: true }))) {
    matches.push(...(await take(item.slice(pivot === '' ? 0 : pivot.length + 1), true)));
  }
  return matches;
}

/** What a pattern of Go's filepath.Match names: the directory that it starts from, and paths below it. */
async function findMatches(
  tree: Tree,
  path: string,
): Promise<{ readonly start: string; readonly found: readonly string[] }> {
  const parts = path.split('/');
  const first = parts.findIndex(hasWildcard);
  const glob = compileCopyGlob(parts.slice(first).join('/'), { globstar: false });
  const start = await tree.resolve(unescapeGlob(parts.slice(0, first).join('/')));
  return { start, found: await expand(tree, start, glob) };
}

/** Paths below `start` that match, sorted by bytes; nothing below one of them. Links are not followed on the way. */
async function expand(tree: Tree, start: string, glob: Glob): Promise<readonly string[]> {
  const found: string[] = [];
  const visit = async (directory: string, above: string): Promise<void> => {
    for (const name of await tree.list(directory)) {
      const path = joinPath(directory, name);
      const below = above + name;
      if (matchGlob(glob, below)) found.push(path);
      else if (mayMatchBelow(glob, `${below}/`) && (await tree.lstat(path))?.type === 'directory')
        await visit(path, `${below}/`);
    }
  };
  await visit(start, '');
  return found;
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
