import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCodes } from '../src/util/error-codes.ts';
import { projectRoot } from './support/paths.ts';

const architecture = readFileSync(join(projectRoot, 'ARCHITECTURE.md'), 'utf8');

/** The rows of the table after a marker, as lists of cells. */
function table(marker: string): string[][] {
  const lines = architecture.slice(architecture.indexOf(`<!-- ${marker} -->`)).split('\n');
  const rows: string[][] = [];
  for (const line of lines.slice(3)) {
    if (!line.startsWith('|')) break;
    rows.push(
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

interface Import {
  readonly file: string;
  readonly specifier: string;
}

const files = readdirSync(join(projectRoot, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join('src', name))
  .toSorted();

const sources = new Map(files.map((file) => [file, readFileSync(join(projectRoot, file), 'utf8')]));

const imports: readonly Import[] = [...sources].flatMap(([file, text]) =>
  [...text.matchAll(/(?:\bfrom\s+|\brequire\s*\(\s*|\bimport\s*\(\s*|^import\s+)['"]([^'"]+)['"]/gm)].map((match) => ({
    file,
    specifier: match[1] ?? '',
  })),
);

/** `src/image/tar.ts` -> `image`; `src/index.ts` -> `index`. */
function moduleOf(file: string): string {
  const [, first = ''] = file.split('/');
  return first.replace(/\.ts$/, '');
}

describe('imports', () => {
  const allowed = new Map(
    table('import-table').map(([module = '', list = '']) => [module, list === '–' ? [] : list.split(', ')]),
  );

  test('the table names every module', () => {
    expect([...new Set(files.map(moduleOf))].toSorted()).toEqual([...allowed.keys()].toSorted());
  });

  test('point only where the table of ARCHITECTURE.md allows', () => {
    const wrong = imports
      .filter(({ specifier }) => specifier.startsWith('.'))
      .map(({ file, specifier }) => ({ file, target: normalize(join(dirname(file), specifier)) }))
      .filter(({ file, target }) => {
        const [from, to] = [moduleOf(file), moduleOf(target)];
        return from !== to && allowed.get(from)?.includes(to) !== true;
      })
      .map(({ file, target }) => `${file} -> ${target}`);
    expect(wrong).toEqual([]);
  });

  test.for(table('importer-table').map(([name = '', importer = '']) => ({ name, importer })))(
    '$name is imported by $importer alone',
    ({ name, importer }) => {
      const found = imports.filter(({ specifier }) => specifier === name || specifier.startsWith(`${name}/`));
      expect([...new Set(found.map(({ file }) => file))]).toEqual([importer]);
    },
  );

  test('go from one file of the package to another, never into dist or tests', () => {
    const wrong = imports.filter(
      ({ file, specifier }) =>
        specifier.startsWith('.') &&
        !normalize(join(dirname(file), specifier)).startsWith('src/') &&
        !specifier.endsWith('package.json'),
    );
    expect(wrong).toEqual([]);
  });
});

describe('error codes', () => {
  test.for(Object.keys(errorCodes))('%s is thrown somewhere', (code) => {
    const users = [...sources].filter(
      ([file, text]) => file !== 'src/util/error-codes.ts' && text.includes(`'${code}'`),
    );
    expect(users.map(([file]) => file)).not.toEqual([]);
  });

  test('each has a meaning of its own', () => {
    const meanings = Object.values(errorCodes).map(({ meaning }) => meaning);
    expect(new Set(meanings).size).toBe(meanings.length);
  });
});

test('no source file is longer than 400 lines without a reason in its first line', () => {
  const long = [...sources]
    .filter(([, text]) => text.split('\n').length > 401 && !/^\/[/*]/.test(text))
    .map(([file]) => relative('src', file));
  expect(long).toEqual([]);
});
