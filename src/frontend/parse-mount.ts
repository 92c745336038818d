import type { Range } from '../util/source.ts';
import type { Draft } from './draft.ts';
import type { Flag } from './flags.ts';
import type { MountSpec, MountType } from './instruction.ts';
import { didYouMean } from './suggest.ts';

const aliases: Readonly<Record<string, string>> = {
  dst: 'target',
  destination: 'target',
  src: 'source',
  ro: 'readonly',
  rw: 'readwrite',
};
const types: readonly string[] = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];
const bools: readonly string[] = ['readonly', 'readwrite', 'required'];

/** Which keys each type takes (L-MNT-1 to L-MNT-6). */
const keys: Readonly<Record<MountType, readonly string[]>> = {
  bind: ['type', 'target', 'source', 'from', 'readonly', 'readwrite'],
  cache: ['type', 'target', 'source', 'from', 'readonly', 'readwrite', 'id', 'sharing', 'mode', 'uid', 'gid'],
  tmpfs: ['type', 'target', 'size', 'readwrite'],
  secret: ['type', 'target', 'source', 'id', 'env', 'required', 'mode', 'uid', 'gid', 'readonly'],
  ssh: ['type', 'target', 'id', 'required', 'mode', 'uid', 'gid', 'readonly'],
};
const allKeys = [...new Set([...Object.values(keys).flat(), ...Object.keys(aliases)])];

interface Field {
  readonly text: string;
  readonly start: number;
}

/** Reads one `--mount` value: comma-separated `key=value`, fields may stand in double quotes. Faults go to the draft. */
export function parseMount(draft: Draft, flag: Flag): MountSpec | undefined {
  const text = flag.value ?? '';
  const exact = draft.logical.map.source.text.includes(text) && sameLine(flag.valueRange);
  const place = (start: number, length: number): Range =>
    exact && widthOf(flag.valueRange) === text.length
      ? part(flag.valueRange, start, length)
      : flag.valueRange;
  const options: { key: string; value: string | undefined; range: Range; written: string }[] = [];
  let failed = false;
  const fail = (message: string, range: Range, hint?: string): void => {
    failed = true;
    draft.fail('DOCKERFILE_BAD_ARGUMENT', message, { range, hint });
  };
  for (const field of splitFields(text)) {
    const equals = field.text.indexOf('=');
    const written = (equals < 0 ? field.text : field.text.slice(0, equals)).trim().toLowerCase();
    const value = equals < 0 ? undefined : field.text.slice(equals + 1);
    const key = Object.hasOwn(aliases, written) ? (aliases[written] ?? written) : written;
    const range = place(field.start, field.text.length);
    const keyRange = place(field.start, equals < 0 ? field.text.length : equals);
    if (!allKeys.includes(key)) {
      failed = true;
      draft.fail('DOCKERFILE_UNKNOWN_FLAG', `\`--mount\` has no key \`${written}\``, {
        range: keyRange,
        hint: didYouMean(written, allKeys) ?? `it knows ${allKeys.join(', ')}`,
      });
      continue;
    }
    if (value === undefined && !bools.includes(key)) {
      fail(`the key \`${written}\` of \`--mount\` needs a value`, range, `write ${written}=<value>`);
      continue;
    }
    options.push({ key, value, range, written });
  }
  const typeOption = options.find((option) => option.key === 'type');
  const type = typeOption?.value?.toLowerCase() ?? 'bind';
  if (!types.includes(type)) {
    fail(
      `\`--mount\` has no type \`${type}\``,
      typeOption?.range ?? flag.range,
      didYouMean(type, types) ?? `it knows ${types.join(', ')}`,
    );
    return undefined;
  }
  const known = keys[type as MountType];
  for (const option of options) {
    if (!known.includes(option.key))
      fail(`\`${option.written}\` is not for mounts of type ${type}`, option.range);
  }
  const has = (key: string): boolean => options.some((option) => option.key === key);
  if (failed) return undefined;
  const needsTarget = type === 'bind' || type === 'cache' || type === 'tmpfs';
  if (needsTarget && !has('target'))
    fail(`a mount of type ${type} needs a target`, flag.valueRange, 'add target=<path>');
  if (type === 'secret' && has('source') && has('id')) {
    fail('a secret mount has either `id` or `source`, not both', flag.valueRange);
  }
  if (type === 'secret' && !has('source') && !has('id') && !has('target')) {
    fail('a secret mount needs an id or a target', flag.valueRange, 'add id=<name>');
  }
  return failed ? undefined : { type: type as MountType, options, range: flag.range };
}

function splitFields(text: string): readonly Field[] {
  const fields: Field[] = [];
  let out = '';
  let start = 0;
  let quoted = false;
  for (let at = 0; at <= text.length; at++) {
    const char = text[at];
    if (char === undefined || (char === ',' && !quoted)) {
      fields.push({ text: out, start });
      out = '';
      start = at + 1;
    } else if (char === '"' && (quoted || out === '')) {
      if (quoted && text[at + 1] === '"') out += text[at++];
      else quoted = !quoted;
    } else out += char;
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
