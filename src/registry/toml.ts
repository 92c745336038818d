import { BuildError } from '../util/build-error.ts';
import { readSmallFile } from '../util/small-file.ts';
import { inWords } from '../util/system-error.ts';

export type Table = Readonly<Record<string, unknown>>;

const limit = 1024 * 1024;

/** Is shown each file that was read: for warnings. */
export type SeeTable = (table: Table, path: string) => void;

/** A TOML file as plain data; undefined when it is not there. Throws CONFIG_INVALID when it cannot be read or understood. */
export async function readToml(path: string, see?: SeeTable): Promise<Table | undefined> {
  const text = await readConfigText(path);
  if (text === undefined) return undefined;
  const { parse, TomlError } = await import('smol-toml');
  try {
    const table: Table = parse(text, { maxDepth: 32 });
    see?.(table, path);
    return table;
  } catch (cause) {
    const where = cause instanceof TomlError ? ` at line ${cause.line}` : '';
    throw badFile(path, `it is no TOML${where}`, cause);
  }
}

/** A text file of at most 1 MiB; undefined when it is not there. Throws CONFIG_INVALID. */
export async function readConfigText(path: string): Promise<string | undefined> {
  let text: string;
  try {
    text = (await readSmallFile(path, limit)).toString('utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'EFBIG') throw badFile(path, 'it is larger than 1 MiB', cause);
    const why = code === 'EFTYPE' ? 'it is no ordinary file' : `it cannot be read: ${inWords(cause)}`;
    throw badFile(path, why, cause);
  }
  return text;
}

/** Reads typed values of a table; anything else than what is expected throws CONFIG_INVALID with the key. */
export function reader(table: Table, source: string): Reader {
  const wrong = (key: string, what: string): BuildError => badFile(source, `\`${key}\` is no ${what}`);
  return {
    text(key) {
      const value = table[key];
      if (value === undefined || typeof value === 'string') return value;
      throw wrong(key, 'text');
    },
    boolean(key) {
      const value = table[key];
      if (value === undefined) return false;
      if (typeof value === 'boolean') return value;
      throw wrong(key, 'true or false');
    },
    texts(key) {
      const value = table[key];
      if (value === undefined) return undefined;
      const list: unknown[] = Array.isArray(value) ? value : [value];
      if (list.every((item): item is string => typeof item === 'string')) return list;
      throw wrong(key, 'list of texts');
    },
    table(key) {
      const value = table[key];
      if (value === undefined || isTable(value)) return value;
      throw wrong(key, 'table');
    },
    tables(key) {
      const value = table[key];
      if (value === undefined) return [];
      if (Array.isArray(value) && value.every(isTable)) return value;
      throw wrong(key, 'list of tables');
    },
  };
}

export interface Reader {
  text(key: string): string | undefined;
  /** False where it is not set. */
  boolean(key: string): boolean;
  /** One text counts as a list of one. */
  texts(key: string): readonly string[] | undefined;
  table(key: string): Table | undefined;
  tables(key: string): readonly Table[];
}

export function isTable(value: unknown): value is Table {
  return value !== null && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Date);
}

/** The error for a file of configuration that cannot be used. Nothing is guessed: it may say what must not be contacted. */
export function badFile(source: string, why: string, cause?: unknown): BuildError {
  return new BuildError('CONFIG_INVALID', `the configuration file ${source} cannot be used: ${why}`, {
    hint: 'repair it; --no-registry-files reads none of these files',
    details: { source },
    cause,
  });
}

// Framing and credentials' other ways are ours; `authorization` may stand here, as it does with containerd.
const forbidden = /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|expect|range)$/i;

/** Throws what `fail` makes for a header that must not be sent. */
export function checkHeader(
  name: string,
  values: readonly string[],
  fail: (why: string) => BuildError,
): void {
  if (!/^[!#$%&'*+.^`|~\w-]{1,100}$/.test(name) || forbidden.test(name))
    throw fail(`\`${name.slice(0, 100)}\` cannot be set as a header`);
  if (!values.every((value) => /^[\t\u0020-\u007e\u0080-\u00ff]{0,8192}$/.test(value)))
    throw fail(`the header \`${name}\` has characters that no header has`);
}
