import { BuildError } from '../util/build-error.ts';
import { baseName, joinPath, parentPath } from './entry-path.ts';
import type { Tree } from './tree.ts';

/** The error for a source that is not there (E-4): says which ignore line hides it, or which names are near. */
export async function missingSource(tree: Tree, written: string, path: string): Promise<BuildError> {
  const hidden = await hiddenBy(tree, path);
  const shown = `/${path}`;
  if (hidden !== undefined) {
    return new BuildError('COPY_SOURCE_MISSING', `\`${shown}\` is excluded from the build context`, {
      hint: `line ${hidden.line} of ${hidden.file} excludes it: \`${hidden.pattern}\``,
      details: {
        path: shown,
        ignoreFile: hidden.file,
        ignoreLine: hidden.line,
        ignorePattern: hidden.pattern,
      },
    });
  }
  const isContext = tree.hiddenBy !== undefined;
  const near = await nearNames(tree, path);
  const root = isContext ? 'the build context' : 'the source of this step';
  const climbs = written.split('/').includes('..');
  const hint =
    near.length > 0
      ? `did you mean ${near.map((name) => `\`${name}\``).join(' or ')}?`
      : climbs
        ? `\`..\` cannot leave ${root}: choose a context directory that has the file`
        : `paths start at the root of ${root}`;
  return new BuildError('COPY_SOURCE_MISSING', `\`${shown}\` is not in ${root}`, {
    hint,
    details: { path: shown, near },
  });
}

async function hiddenBy(
  tree: Tree,
  path: string,
): Promise<{ readonly file: string; readonly line: number; readonly pattern: string } | undefined> {
  if (tree.hiddenBy === undefined) return undefined;
  const direct = await tree.hiddenBy(path);
  // Through a link the name that is hidden is another one.
  return direct ?? tree.hiddenBy(await tree.resolve(path));
}

/** At most three names that the user may have meant, nearest first. */
async function nearNames(tree: Tree, path: string): Promise<readonly string[]> {
  const directory = await tree.resolve(parentPath(path));
  const wanted = baseName(path);
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  const found = (await tree.list(directory))
    .map((name) => ({ name: joinPath(parentPath(path), name), distance: distance(wanted, name, limit) }))
    .filter((item) => item.distance <= limit);
  if (found.length > 0) {
    return found
      .toSorted((a, b) => a.distance - b.distance)
      .slice(0, 3)
      .map(({ name }) => name);
  }
  return elsewhere(tree, wanted);
}

/** The same name in the root, or one directory below it: people forget the directory more often than they mistype. */
async function elsewhere(tree: Tree, wanted: string): Promise<readonly string[]> {
  const found: string[] = [];
  const top = await tree.list('');
  if (top.includes(wanted)) found.push(wanted);
  for (const name of top.slice(0, 100)) {
    const path = joinPath(name, wanted);
    if (found.length < 3 && (await tree.lstat(path)) !== undefined) found.push(path);
  }
  return found;
}

/** Levenshtein's, where a difference of case costs nothing extra but the first; stops counting past `limit`. */
function distance(a: string, b: string, limit: number): number {
  if (a.toLowerCase() === b.toLowerCase()) return a === b ? 0 : 1;
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? limit + 1;
}
