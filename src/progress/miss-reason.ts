/**
 * Why a step was run and not taken from the cache, as data: the first thing in which its key differs from that of the record it is compared
 * with. `before` is that of the record, `now` that of this build; both are shortened for people, and never show a secret's value.
 */
export type MissReason =
  /** --no-cache, --no-cache-filter or --no-cache-from names the step. */
  | { readonly kind: 'no-cache' }
  /** Nothing like it was ever done here. */
  | { readonly kind: 'new' }
  /** The instruction is written in another way. */
  | { readonly kind: 'instruction'; readonly before: string; readonly now: string }
  /** An ARG or ENV that comes into the instruction; undefined where it is not set. `hidden`: by its name the value is a secret. */
  | {
      readonly kind: 'argument';
      readonly name: string;
      readonly before: string | undefined;
      readonly now: string | undefined;
      readonly hidden?: true;
    }
  /** A --mount, by its target or (secrets in the environment) its id; undefined where it is not there. */
  | {
      readonly kind: 'mount';
      readonly name: string;
      readonly before: string | undefined;
      readonly now: string | undefined;
    }
  /** Another part of the step: `user`, `workdir`, `platform`, `--add-host`, `SOURCE_DATE_EPOCH` ... */
  | {
      readonly kind: 'option';
      readonly name: string;
      readonly before: string | undefined;
      readonly now: string | undefined;
    }
  /** The base image is another one: digests of manifests. */
  | { readonly kind: 'base'; readonly name: string; readonly before: string; readonly now: string }
  /** A file that it reads, by its path as the instruction selects it. `others`: further files that differ. `from`: a stage, a context. */
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly change: FileChange;
      readonly others: number;
      readonly from: string | undefined;
      /** Modes, owners: `0644`, `0:0`. */
      readonly before?: string;
      readonly now?: string;
    }
  /** A step that it builds on was run, and gave something else. `root`: the first of them, where that is another one; `because`: its reason. */
  | {
      readonly kind: 'parent';
      readonly step: string;
      readonly root?: string;
      readonly because: MissReason;
    }
  /** It was never done with this of these inputs, which themselves are known. */
  | { readonly kind: 'inputs'; readonly steps: readonly string[] }
  /** Something in the step that has no name. */
  | { readonly kind: 'other' }
  /** It is recorded, but its result has left the store. */
  | { readonly kind: 'lost' };

/** `content`: attributes count as such. `renamed`: from `before` to `now`. */
export type FileChange = 'content' | 'mode' | 'owner' | 'type' | 'added' | 'removed' | 'renamed';

const longest = 80;

/** The reason in few words, in one line: what progress shows. What it quotes is as hostile as its file names are. */
export function missText(reason: MissReason): string {
  switch (reason.kind) {
    case 'no-cache':
      return 'the cache is not used for it';
    case 'new':
      return 'no record of this step';
    case 'instruction':
      return `the instruction changed: ${quoted(reason.before)} -> ${quoted(reason.now)}`;
    case 'argument':
      return `argument ${reason.name} changed${reason.hidden === true ? '' : `: ${change(reason)}`}`;
    case 'mount':
      return `mount ${reason.name} changed: ${change(reason)}`;
    case 'option':
      return `${reason.name} changed: ${change(reason)}`;
    case 'base':
      return `base ${reason.name} moved: ${shortDigest(reason.before)} -> ${shortDigest(reason.now)}`;
    case 'file':
      return fileText(reason);
    case 'parent':
      return `a step that it builds on is run: ${reason.root ?? reason.step}`;
    case 'inputs':
      return `its inputs changed: ${reason.steps.join(', ')}`;
    case 'other':
      return 'something in it changed';
    case 'lost':
      return 'its recorded result is no longer there';
    default:
      return reason satisfies never;
  }
}

const fileWords: Readonly<Record<FileChange, string>> = {
  content: 'changed',
  mode: 'has another mode',
  owner: 'has another owner',
  type: 'is another kind of file',
  added: 'is new',
  removed: 'is gone',
  renamed: 'has another name',
};

function fileText(reason: Extract<MissReason, { readonly kind: 'file' }>): string {
  const { path, from, others, before, now } = reason;
  const where = from === undefined ? '' : ` of ${from}`;
  const more = others === 0 ? '' : ` (and ${others} more)`;
  const values = before === undefined || now === undefined ? '' : `: ${quoted(before)} -> ${quoted(now)}`;
  return `file ${quoted(path)}${where} ${fileWords[reason.change]}${values}${more}`;
}

function change({ before, now }: { readonly before: string | undefined; readonly now: string | undefined }) {
  if (before === undefined) return `it is now ${quoted(now ?? '')}`;
  return now === undefined ? `it was ${quoted(before)}` : `${quoted(before)} -> ${quoted(now)}`;
}

function quoted(text: string): string {
  return `\`${text.length <= longest ? text : `${text.slice(0, longest - 1)}…`}\``;
}

function shortDigest(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}
