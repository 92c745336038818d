import { BuildError } from '../util/build-error.ts';
import type { Entry } from './entry.ts';
import { baseName, joinPath, parentPath } from './entry-path.ts';
import type { Tree } from './tree.ts';

/**
 * The error for a source that is not there (E-4): says where it was looked for, and which ignore line hides it, which link leads
 * nowhere, or which names are near.
 */
export async function missingSource(tree: Tree, written: string, path: string): Promise<BuildError> {
  const { name: root, hint: rootHint } = tree.about ?? { name: 'the stage, image or context of --from' };
  const link = await brokenLink(tree, path);
  const hidden = await tree.hiddenBy?.(link?.leads ?? (await tree.resolve(path)));
  const shown = `/${path}`;
  const subject =
    link === undefined
      ? `\`${shown}\``
      : `\`/${link.entry.path}\` is a link to \`${link.entry.linkTarget ?? ''}\`, which`;
  if (hidden !== undefined) {
    return new BuildError('COPY_SOURCE_MISSING', `${subject} is excluded from ${root}`, {
      hint: `line ${hidden.line} of ${hidden.file} excludes it: \`${hidden.pattern}\``,
      details: {
        path: shown,
        root,
        ignoreFile: hidden.file,
        ignoreLine: hidden.line,
        ignorePattern: hidden.pattern,
      },
    });
  }
  const file = link === undefined ? await fileInTheWay(tree, path) : undefined;
  const near = link === undefined && file === undefined ? await nearNames(tree, path) : [];
  const message =
    file === undefined
      ? `${subject} is not in ${root}`
      : `\`${shown}\` is not in ${root}: \`/${file.path}\` is no directory but a ${file.type}`;
  const hint = (): string | undefined => {
    if (rootHint !== undefined) return rootHint;
    if (file !== undefined) return undefined;
    if (link !== undefined) return 'links are followed inside it alone: put the file itself there';
    if (near.length > 0) return `did you mean ${near.map((name) => `\`${name}\``).join(' or ')}?`;
    if (written.split('/').includes('..'))
      return '`..` cannot leave it: choose a context directory that has the file, or add one with --build-context';
    return 'paths start at its root, whatever the working directory is';
  };
  return new BuildError('COPY_SOURCE_MISSING', message, {
    hint: hint(),
    details: { path: shown, root, near, ...(link === undefined ? {} : { link: `/${link.entry.path}` }) },
  });
}

/** The first link on the way that leads to nothing, and where it leads. */
async function brokenLink(
  tree: Tree,
  path: string,
): Promise<{ readonly entry: Entry; readonly leads: string } | undefined> {
  let above = '';
  for (const part of path.split('/')) {
    const entry = await tree.lstat(joinPath(above, part));
    if (entry === undefined) return undefined;
    above = await tree.resolve(joinPath(above, part));
    if (entry.type === 'symlink' && (await tree.lstat(above)) === undefined) return { entry, leads: above };
  }
  return undefined;
}

/** What stands where the path wants a directory. */
async function fileInTheWay(tree: Tree, path: string): Promise<Entry | undefined> {
  let above = '';
  for (const part of path.split('/').slice(0, -1)) {
    above = await tree.resolve(joinPath(above, part));
    const entry = await tree.lstat(above);
    if (entry === undefined) return undefined;
    if (entry.type !== 'directory') return entry;
  }
  return undefined;
}

/** At most three names that the user may have meant, nearest first. */
async function nearNames(tree: Tree, path: string): Promise<readonly string[]> {
  const directory = await tree.resolve(parentPath(path));
  const wanted = baseName(path);
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  const found = (await tree.list(directory))
    .map((name) => ({ name: joinPath(parentPath(path), name), distance: distance(wanted, name, limit) }))
    .filter((item) => item.distance > 0 && item.distance <= limit)
    // Of one letter every other one is a single change away, and none is meant.
    .filter(({ name }) => wanted.length > 1 || baseName(name).toLowerCase() === wanted.toLowerCase());
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
