import type { Position, Range } from './source.ts';

/** A change of a text: what stands in `range` becomes `text`. */
export interface Edit {
  readonly range: Range;
  readonly text: string;
}

/**
 * Makes the changes of each group, all of it or nothing: a group that touches what an earlier one changes is left out. All other
 * characters stay as they are. Returns the new text and the groups that were made, by index.
 */
export function applyEdits(
  text: string,
  groups: readonly (readonly Edit[])[],
): { readonly text: string; readonly made: ReadonlySet<number> } {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const offset = ({ line, column }: Position): number => (starts[line - 1] ?? text.length) + column - 1;
  const taken: { start: number; end: number; text: string }[] = [];
  const made = new Set<number>();
  for (const [index, edits] of groups.entries()) {
    const wanted = edits.map((edit) => ({
      start: offset(edit.range.start),
      end: offset(edit.range.end),
      text: edit.text,
    }));
    const free = wanted.every((edit) =>
      taken.every(({ start, end }) => edit.end <= start || end <= edit.start),
    );
    if (!free || wanted.length === 0) continue;
    taken.push(...wanted);
    made.add(index);
  }
  let out = '';
  let at = 0;
  for (const edit of taken.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    out += text.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return { text: out + text.slice(at), made };
}
