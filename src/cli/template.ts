import { BuildError } from '../util/build-error.ts';
import { formatTable } from './format.ts';
import { suggestion } from './nearest.ts';

/** A record as scripts see it: what stands in a template's `{{.Name}}`, and in JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * `--format` of lists, as docker has it: `json`, one object a line; or a template as of Go's with plain fields (`{{.ID}}\t{{.Size}}`), one line a
 * record, in columns below their names after `table `. Throws USAGE for what is neither.
 */
export function formatRecords(format: string, records: readonly Fields[]): string {
  if (format === 'json') return records.map((record) => `${JSON.stringify(record)}\n`).join('');
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
  return text.replaceAll(/\{\{(.*?)\}\}/gs, (whole, inside: string) => {
    const name = /^\s*\.(\w+)\s*$/.exec(inside)?.[1];
    if (name === undefined || !Object.hasOwn(fields, name)) {
      throw new BuildError('USAGE', `\`${whole}\` in \`--format\` is not understood`, {
        hint: name === undefined ? 'fields are written like {{.ID}}' : suggestion(name, Object.keys(fields)),
      });
    }
    return String(fields[name]);
  });
}
