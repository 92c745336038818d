import { BuildError } from '../util/build-error.ts';
import { formatTable } from './format.ts';
import { suggestion } from './nearest.ts';
import { jsonText, sanitizeLine } from './sanitize.ts';
import { parseChoice } from './values.ts';

/** A record as scripts see it: what stands in a template's `{{.Name}}`, and in JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * `--format` of lists, as docker has it: `json`, one object a line; or a template as of Go's with plain fields (`{{.ID}}\t{{.Size}}`, `{{json .Parents}}`), one line a
 * record, in columns below their names after `table `. Throws USAGE for what is neither.
 */
export function formatRecords(format: string, records: readonly Fields[]): string {
  if (format === 'json') return records.map((record) => `${jsonText(record)}\n`).join('');
  const isTable = format.startsWith('table ');
  const text = (isTable ? format.slice('table '.length) : format)
    .replaceAll('\\t', '\t')
    .replaceAll('\\n', '\n');
  const lines = records.map((record) => fill(text, record));
  if (!isTable) return lines.map((line) => `${line}\n`).join('');
  const head = text.replaceAll(/\{\{\s*\.(\w+)\s*\}\}/g, (_, name: string) => name.toUpperCase());
  return formatTable([head, ...lines].map((line) => line.split('\t')));
}

function fill(text: string, fields: Fields): string {
  if (text.lastIndexOf('{{') > text.lastIndexOf('}}'))
    throw notUnderstood(text.slice(text.lastIndexOf('{{')), 'a field ends with }}');
  return text.replaceAll(/\{\{(.*?)\}\}/gs, (whole, inside: string) => {
    const [found, json, path = ''] = /^\s*(json\s+)?\.((?:\w+(?:\.\w+)*)?)\s*$/.exec(inside) ?? [];
    if (found === undefined || (path === '' && json === undefined))
      throw notUnderstood(whole, 'fields are written like {{.ID}}, and as JSON like {{json .ID}}');
    let value: unknown = fields;
    for (const name of path === '' ? [] : path.split('.')) {
      if (!isRecord(value) || !Object.hasOwn(value, name))
        throw notUnderstood(whole, isRecord(value) ? suggestion(name, Object.keys(value)) : undefined);
      value = value[name];
    }
    return json === undefined ? shown(value) : jsonText(value);
  });
}

/** Lists as Go shows them. */
function shown(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return `[${value.map(shown).join(' ')}]`;
  return typeof value === 'string' ? sanitizeLine(value) : jsonText(value);
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function notUnderstood(whole: string, hint: string | undefined): BuildError {
  return new BuildError('USAGE', `\`${whole.slice(0, 200)}\` in \`--format\` is not understood`, { hint });
}

/** For commander. A word that is no template would be printed as often as there are records. Throws USAGE. */
export function parseFormat(text: string): string {
  return text.includes('{{') ? text : parseChoice(text, '--format', ['table', 'json'] as const);
}
