import type { Range } from '../util/source.ts';
import type { Draft } from './draft.ts';
import type { Flag } from './flags.ts';
import type { MountOption, MountSpec, MountType } from './instruction.ts';
import { didYouMean } from '../util/suggest.ts';

const aliases: Readonly<Record<string, string>> = {
  dst: 'target',
  destination: 'target',
  src: 'source',
  ro: 'readonly',
  rw: 'readwrite',
};
const mountTypes: readonly MountType[] = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];
const bools: readonly string[] = ['readonly', 'readwrite', 'required'];
const owners: readonly MountType[] = ['cache', 'secret', 'ssh'];

/** Every key, with the types that it is for (L-MNT-6): with another type it is a fault. Those without a list may stand anywhere. */
const keys: Readonly<Record<string, readonly MountType[] | undefined>> = {
  type: undefined,
  target: undefined,
  source: ['bind', 'cache', 'secret'],
  from: ['bind', 'cache'],
  readonly: undefined,
  readwrite: undefined,
  id: undefined,
  env: undefined,
  sharing: ['cache'],
  size: ['tmpfs'],
  required: ['secret', 'ssh'],
  mode: owners,
  uid: owners,
  gid: owners,
};
/** What BuildKit passes over, although it means nothing there. */
const passedOver: Readonly<Partial<Record<MountType, readonly string[]>>> = {
  tmpfs: ['source', 'from'],
  ssh: ['from'],
};
const allKeys = [...Object.keys(keys), ...Object.keys(aliases)];

/** What is wrong with a mount; without a range it is about the mount as a whole. */
export interface MountFault {
  readonly message: string;
  readonly range?: Range | undefined;
  readonly hint?: string | undefined;
}

interface Field {
  readonly text: string;
  readonly start: number;
}

/** Reads one `--mount` value: comma-separated `key=value`, fields may stand in double quotes. Faults go to the draft. */
export function parseMount(draft: Draft, flag: Flag): MountSpec | undefined {
  const text = flag.value ?? '';
  // Quotes and escapes only ever shorten: a value as wide as it stands in the file is written as it is read.
  const exact = sameLine(flag.valueRange) && widthOf(flag.valueRange) === text.length;
  const place = (start: number, length: number): Range =>
    exact ? part(flag.valueRange, start, length) : flag.valueRange;
  const options: MountOption[] = [];
  let failed = false;
  const fail = ({ message, range, hint }: MountFault): void => {
    failed = true;
    draft.fail('DOCKERFILE_BAD_ARGUMENT', message, { range: range ?? flag.valueRange, hint });
  };
  for (const field of splitFields(text, fail)) {
    const equals = field.text.indexOf('=');
    const written = (equals < 0 ? field.text : field.text.slice(0, equals)).toLowerCase();
    const value = equals < 0 ? undefined : field.text.slice(equals + 1);
    const key = Object.hasOwn(aliases, written) ? (aliases[written] ?? written) : written;
    const range = place(field.start, field.text.length);
    const keyRange = place(field.start, equals < 0 ? field.text.length : equals);
    if (!Object.hasOwn(keys, key)) {
      failed = true;
      draft.fail('DOCKERFILE_UNKNOWN_FLAG', `\`--mount\` has no key \`${written}\``, {
        range: keyRange,
        hint: didYouMean(written, allKeys) ?? `it knows ${allKeys.join(', ')}`,
      });
    } else if (value === undefined && !bools.includes(key)) {
      const message = `the key \`${written}\` of \`--mount\` needs a value`;
      fail({ message, range, hint: `write ${written}=<value>` });
    } else if (key === 'from' && /\$./.test(value ?? '')) {
      fail({
        message: '`from` of a mount cannot have variables',
        range,
        hint: 'give the image a name by a stage, FROM <image> AS <name>, and write from=<name>',
      });
    } else options.push({ key, value, range, written });
  }
  if (failed) return undefined;
  const typeOption = options.findLast(({ key }) => key === 'type');
  // With a variable in it the type is known only when the stage is lowered.
  const isOpen = /[$'"\\`]/.test(typeOption?.value ?? '');
  const type = isOpen ? undefined : typeOption === undefined ? 'bind' : mountType(typeOption.value ?? '');
  if (type === undefined && !isOpen) fail(unknownType(typeOption?.value ?? '', typeOption?.range));
  else if (type !== undefined) for (const fault of mountFaults(type, options)) fail(fault);
  return failed ? undefined : { type, options, range: flag.range };
}

/** The type of that name, in any case. */
export function mountType(text: string): MountType | undefined {
  return mountTypes.find((type) => type === text.toLowerCase());
}

export function unknownType(text: string, range: Range | undefined): MountFault {
  return {
    message: `\`--mount\` has no type \`${text}\``,
    range,
    hint: didYouMean(text, mountTypes) ?? `it knows ${mountTypes.join(', ')}`,
  };
}

/** What a mount of this type may not have, or lacks (L-MNT-6). */
export function* mountFaults(type: MountType, options: readonly MountOption[]): Generator<MountFault> {
  let misplaced = false;
  for (const { key, written, range } of options) {
    const allowed = keys[key];
    if (allowed === undefined || allowed.includes(type) || passedOver[type]?.includes(key)) continue;
    misplaced = true;
    const message = `\`${written}\` is not for mounts of type ${type}`;
    yield { message, range, hint: `it is for ${listOf(allowed)}` };
  }
  if (misplaced) return;
  const has = (key: string): boolean => options.some((option) => option.key === key);
  if (type !== 'secret' && type !== 'ssh' && !has('target'))
    yield { message: `a mount of type ${type} needs a target`, hint: 'add target=<path>' };
  if (type !== 'secret') return;
  if (has('source') && has('id')) yield { message: 'a secret mount has either `id` or `source`, not both' };
  if (!has('source') && !has('id') && !has('target'))
    yield { message: 'a secret mount needs an id or a target', hint: 'add id=<name>' };
}

function listOf(types: readonly MountType[]): string {
  return types.length === 1 ? (types[0] ?? '') : `${types.slice(0, -1).join(', ')} and ${types.at(-1)}`;
}

/** One line of CSV as Go reads it: a field in quotes ends with them, and one without has none. */
function splitFields(text: string, fail: (fault: MountFault) => void): readonly Field[] {
  const fields: Field[] = [];
  for (let at = 0; at <= text.length; at += 1) {
    const start = at;
    if (text[at] === '"') {
      const quoted = /^"((?:[^"]|"")*)"(?=,|$)/.exec(text.slice(at));
      if (quoted === null) {
        fail({
          message: 'a double quote in `--mount` does not end its field',
          hint: 'quote whole fields, "key=value", and write "" for a double quote inside',
        });
        return [];
      }
      fields.push({ text: (quoted[1] ?? '').replaceAll('""', '"'), start });
      at += quoted[0].length;
    } else {
      const end = text.indexOf(',', at);
      at = end < 0 ? text.length : end;
      fields.push({ text: text.slice(start, at), start });
      if (fields.at(-1)?.text.includes('"') === true) {
        fail({
          message: 'a double quote stands inside a field of `--mount`',
          hint: 'quote whole fields, "key=value", and write "" for a double quote inside',
        });
        return [];
      }
    }
  }
  return fields;
}

function sameLine(range: Range): boolean {
  return range.start.line === range.end.line;
}

function widthOf(range: Range): number {
  return range.end.column - range.start.column;
}

function part(range: Range, start: number, length: number): Range {
  const { line, column } = range.start;
  return { start: { line, column: column + start }, end: { line, column: column + start + length } };
}
