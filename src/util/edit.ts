import type { Position, Range } from './source.ts';

/** A change of a text: what stands in `range` becomes `text`. */
export interface Edit {
  readonly range: Range;
  readonly text: string;
}

interface PlacedEdit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly group: number;
}

/**
 * Makes the changes of each group, all of it or nothing: of two groups that touch the same characters only the earlier one can be made. All
 * other characters stay as they are. Returns the new text and the groups that were made, by index.
 */
export function applyEdits(
  text: string,
  groups: readonly (readonly Edit[])[],
): { readonly text: string; readonly made: ReadonlySet<number> } {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  const offset = ({ line, column }: Position): number => (starts[line - 1] ?? text.length) + column - 1;
  const edits = groups
    .flatMap((group, index) =>
      group.map((edit): PlacedEdit => {
        const { start, end } = edit.range;
        return { start: offset(start), end: offset(end), text: edit.text, group: index };
      }),
    )
    .toSorted((a, b) => a.start - b.start || a.end - b.end || a.group - b.group);
  const dropped = colliding(edits);
  let out = '';
  let at = 0;
  for (const edit of edits) {
    if (dropped.has(edit.group)) continue;
    out += text.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return {
    text: out + text.slice(at),
    made: new Set([...groupsOf(edits)].filter((group) => !dropped.has(group))),
  };
}

function groupsOf(edits: readonly PlacedEdit[]): ReadonlySet<number> {
  return new Set(edits.map(({ group }) => group));
}

/** The groups that give way to an earlier one, or that collide with themselves; of edits in the order of their places. */
function colliding(edits: readonly PlacedEdit[]): ReadonlySet<number> {
  const dropped = new Set<number>();
  let last: PlacedEdit | undefined;
  for (const edit of edits) {
    if (dropped.has(edit.group)) continue;
    if (last === undefined || dropped.has(last.group) || edit.start >= last.end) last = edit;
    else if (edit.group < last.group) {
      dropped.add(last.group);
      last = edit;
    } else dropped.add(edit.group);
  }
  return dropped;
}
