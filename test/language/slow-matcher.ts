/**
 * Patterns once more, as slow and plain as the rows L-COPY-8 and L-IGN-3 are written: what the fast matchers are compared with. For
 * patterns that are well formed.
 */
export function matches(
  pattern: string,
  text: string,
  { globstar }: { readonly globstar: boolean },
): boolean {
  // Docker's one exception: `**` before plain text takes whatever ends so.
  const plain = /^\*\*(?<end>[^/*?[\]\\][^*?[\]\\]*)$/.exec(pattern)?.groups?.['end'];
  if (globstar && plain !== undefined) return text.endsWith(plain);
  return matchesRest(Array.from(pattern), Array.from(text), globstar);
}

function matchesRest(pattern: readonly string[], text: readonly string[], globstar: boolean): boolean {
  const [first, second] = pattern;
  if (first === undefined) return text.length === 0;
  const after = (count: number, from = text): boolean => matchesRest(pattern.slice(count), from, globstar);
  if (first === '*' && second === '*' && globstar) {
    const length = pattern[2] === '/' ? 3 : 2;
    if (length >= pattern.length) return true;
    // No directory, or any number of them.
    return after(length) || text.some((each, index) => each === '/' && after(length, text.slice(index + 1)));
  }
  if (first === '*') {
    const end = text.indexOf('/');
    const longest = end === -1 ? text.length : end;
    return Array.from({ length: longest + 1 }).some((_, count) => after(1, text.slice(count)));
  }
  const [own] = text;
  if (own === undefined) return false;
  const rest = text.slice(1);
  if (first === '?') return own !== '/' && after(1, rest);
  if (first === '\\') return own === second && after(2, rest);
  if (first !== '[') return own === first && after(1, rest);
  const close = pattern.indexOf(']');
  const set = pattern.slice(1, close);
  const negated = set[0] === '^';
  return (negated ? set.slice(1) : set).includes(own) !== negated && after(close + 1, rest);
}

/** The line, from 1, that excludes a path: the last one that matches it or a directory above it, unless that one starts with `!`. */
export function decides(lines: readonly string[], path: string): number | undefined {
  let decided: number | undefined;
  for (const [index, line] of lines.entries()) {
    if (line.startsWith('#')) continue;
    const negated = line.trim().startsWith('!');
    const pattern = clean(negated ? line.trim().slice(1).trim() : line.trim());
    if (pattern === '') continue;
    const parts = path.split('/');
    const above = parts.map((_, count) => parts.slice(0, count + 1).join('/'));
    if (above.some((each) => matches(pattern, each, { globstar: true })))
      decided = negated ? undefined : index + 1;
  }
  return decided;
}

/** Go's filepath.Clean, without a leading slash: one rule after the other, each until it finds nothing more. */
function clean(path: string): string {
  let text = path;
  const rewrite = (found: RegExp, put: string): void => {
    for (let before = ''; before !== text;) {
      before = text;
      text = text.replace(found, put);
    }
  };
  rewrite(/\/\//, '/');
  rewrite(/(^|\/)\.\//, '$1');
  rewrite(/(^|\/)\.$/, '$1');
  rewrite(/^\/\.\.(?=\/|$)/, '');
  // A name with the `..` after it; above the root there is nothing to go to.
  for (let before = ''; before !== text;) {
    before = text;
    text = text.replace(/(^|\/)(?!\.\.\/)[^/]+\/\.\.(?:\/|$)/, '$1').replace(/^\/\.\.(?=\/|$)/, '');
  }
  return text.replace(/^\/|\/$/g, '');
}
