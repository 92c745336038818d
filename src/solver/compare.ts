import type { FileComponents, InputComponents, KeyComponents, Named } from '../graph/key-components.ts';
import type { FileChange, MissReason } from '../progress/miss-reason.ts';
import { looksSecret } from '../util/looks-secret.ts';

/** In what the components of two keys differ, what the user most likely did first. `differences` counts all of them. */
export interface Comparison {
  readonly first: MissReason | undefined;
  readonly differences: number;
  /** Inputs that differ and tell nothing more, by index. */
  readonly inputs: readonly number[];
}

export function compareComponents(before: KeyComponents, now: KeyComponents): Comparison {
  const inputs = now.inputs.map((input, index) => compareInputs(before.inputs[index], input));
  const values = compareNamed(before.values, now.values).map(({ name, ...change }): MissReason => ({
    ...{ kind: 'argument', name },
    ...(looksSecret(name) ? { before: undefined, now: undefined, hidden: true } : change),
  }));
  const text: MissReason[] =
    before.text === now.text ? [] : [{ kind: 'instruction', before: before.text, now: now.text }];
  // Where a name shows what a variable is (`WORKDIR /$X`), the variable is what was changed.
  const isExpanded = values.some((change) => change.kind === 'argument' && isExpandedIn(text[0], change));
  const reasons: readonly MissReason[] = [
    ...(isExpanded ? [] : text),
    ...values,
    ...compareNamed(before.mounts, now.mounts).map((change) => ({ kind: 'mount', ...change }) as const),
    ...compareNamed(before.options, now.options).map((change) => optionReason(change, now.text)),
    ...inputs.flatMap(({ image }) => image ?? []),
    ...inputs.flatMap(({ files }) => files ?? []),
  ];
  const other = inputs.flatMap(({ differs, image, files }, index) =>
    differs && image === undefined && files === undefined ? [index] : [],
  );
  const fewer = before.inputs.length === now.inputs.length ? 0 : 1;
  return { first: reasons[0], differences: reasons.length + other.length + fewer, inputs: other };
}

type Change = {
  readonly name: string;
  readonly before: string | undefined;
  readonly now: string | undefined;
};

function compareNamed(before: Named, now: Named): readonly Change[] {
  const old = new Map(before);
  const fresh = new Map(now);
  const names = [...new Set([...fresh.keys(), ...old.keys()])];
  return names
    .map((name) => ({ name, before: old.get(name), now: fresh.get(name) }))
    .filter((change) => change.before !== change.now);
}

/** The command differs though the instruction reads the same: a heredoc, another SHELL. */
function optionReason({ name, before, now }: Change, text: string): MissReason {
  if (name === 'command' && before !== undefined && now !== undefined)
    return { kind: 'instruction', before, now };
  if (name === 'base' && before !== undefined && now !== undefined)
    return { kind: 'base', name: text.replace(/^FROM /, ''), before, now };
  return { kind: 'option', name, before, now };
}

function isExpandedIn(
  text: MissReason | undefined,
  { before, now }: { readonly before: string | undefined; readonly now: string | undefined },
): boolean {
  if (text?.kind !== 'instruction' || before === undefined || now === undefined || before === '')
    return false;
  return text.before.replace(before, () => now) === text.now;
}

interface InputComparison {
  readonly differs: boolean;
  readonly image?: MissReason;
  readonly files?: readonly MissReason[];
}

function compareInputs(before: InputComponents | undefined, now: InputComponents): InputComparison {
  if (before === undefined) return { differs: true };
  if (before.key === now.key) return { differs: false };
  if (before.image !== undefined && now.image !== undefined) {
    if (before.image.digest === now.image.digest) return { differs: true };
    const { reference } = now.image;
    const image = {
      kind: 'base',
      name: reference,
      before: before.image.digest,
      now: now.image.digest,
    } as const;
    return { differs: true, image };
  }
  if (before.files === undefined || now.files === undefined) return { differs: true };
  const files = compareFiles(before.files, now.files, isContext(now.name) ? undefined : now.name);
  return files.length === 0 ? { differs: true } : { differs: true, files };
}

function isContext(name: string): boolean {
  return name === '[internal] load build context';
}

/** One reason for all files: the first, with the number of the others. */
function compareFiles(
  before: FileComponents,
  now: FileComponents,
  from: string | undefined,
): readonly MissReason[] {
  const changes: FileDifference[] = [];
  const old = new Map(before.list.map((file) => [file[0], file]));
  const gone = new Map(old);
  const added: File[] = [];
  for (const file of now.list) {
    const was = old.get(file[0]);
    gone.delete(file[0]);
    if (was === undefined) added.push(file);
    else {
      const change = fileChange(was, file);
      if (change !== undefined) changes.push({ path: file[0], ...change });
    }
  }
  const byContent = new Map([...gone.values()].map((file) => [contentOf(file), file]));
  for (const file of added) {
    const was = byContent.get(contentOf(file));
    if (was !== undefined && gone.delete(was[0]))
      changes.push({ path: was[0], change: 'renamed', before: was[0], now: file[0] });
    else changes.push({ path: file[0], change: 'added' });
  }
  for (const path of gone.keys()) changes.push({ path, change: 'removed' });
  // A file says more than the directory that it is in.
  const [first] = changes.toSorted((a, b) => depth(b) - depth(a));
  return first === undefined ? [] : [{ kind: 'file', ...first, others: changes.length - 1, from }];
}

type File = FileComponents['list'][number];
type FileDifference = {
  readonly path: string;
  readonly change: FileChange;
  readonly before?: string;
  readonly now?: string;
};

function depth({ change }: FileDifference): number {
  return change === 'content'
    ? 2
    : change === 'added' || change === 'removed' || change === 'renamed'
      ? 1
      : 0;
}

function contentOf([, mode, owner, hash]: File): string {
  return `${mode} ${owner} ${hash}`;
}

function fileChange(before: File, now: File): Omit<FileDifference, 'path'> | undefined {
  const [, oldMode, oldOwner, oldHash] = before;
  const [, mode, owner, hash] = now;
  if (oldMode.slice(0, 1) !== mode.slice(0, 1)) return { change: 'type' };
  if (oldHash !== hash) return { change: 'content' };
  if (oldMode !== mode) return { change: 'mode', before: oldMode.slice(1), now: mode.slice(1) };
  return oldOwner === owner ? undefined : { change: 'owner', before: oldOwner, now: owner };
}
