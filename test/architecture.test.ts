import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorCodes } from '../src/util/error-codes.ts';
import { projectRoot } from './support/paths.ts';

/** Which module may import which (ARCHITECTURE.md). A new arrow is a design change. */
const mayImport: Readonly<Record<string, string>> = {
  util: '',
  oci: 'util',
  progress: 'util oci',
  host: 'util',
  net: 'util host',
  graph: 'util oci',
  store: 'util oci host',
  image: 'util oci host progress store',
  registry: 'util oci host progress net image',
  source: 'util oci host progress net store image',
  frontend: 'util oci graph',
  solver: 'util oci graph progress',
  executor: 'util oci host progress store image',
  cache: 'util oci host progress net graph store image registry',
  export: 'util oci host progress net store image registry',
  api: 'util oci progress host net graph store image registry source frontend solver executor cache export',
  cli: 'index util',
};
/** What the public API may take besides types. */
const indexMayImport = /^(?:api\/.*|util\/build-error\.ts|util\/error-codes\.ts)$/;
/** Types alone, beyond the table: a renderer reads events. */
const typesToo: Readonly<Record<string, string>> = { cli: 'progress' };

const oneImporter: Readonly<Record<string, string>> = {
  'dockerfile-ast': 'frontend/parse.ts',
  'tar-stream': 'image/tar-write.ts',
  undici: 'net/undici.ts',
  koffi: 'host/native.ts',
  'node:sqlite': 'store/sqlite.ts',
  'smol-toml': 'registry/toml.ts',
  aws4fetch: 'cache/s3-place.ts',
};

const longest = 400;

interface Import {
  readonly from: string;
  /** `oci/digest.ts` below src/, or the name of a package. */
  readonly to: string;
  readonly isLocal: boolean;
  readonly isType: boolean;
}

const sources = join(projectRoot, 'src');
const files = readdirSync(sources, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => relative(sources, join(entry.parentPath, entry.name)))
  .toSorted();
const textOf = new Map(files.map((file) => [file, readFileSync(join(sources, file), 'utf8')]));

/** Static, dynamic, type and require imports, re-exports and `new URL('./x.ts', import.meta.url)` (workers, child processes). */
function importsOf(file: string): Import[] {
  const text = (textOf.get(file) ?? '').replaceAll(/^\s*(?:\/\/|\*|\/\*).*$/gm, '');
  const forms: readonly (readonly [RegExp, boolean | undefined])[] = [
    [/^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm, undefined],
    [/\b()(?:import|require)\(\s*'([^']+)'/g, false],
    [/createRequire\([^)]*\)()\(\s*'([^']+)'/g, false],
    [/\bnew URL\(()\s*'(\.[^']+)',\s*import\.meta\.url/g, false],
  ];
  return forms.flatMap(([pattern]) =>
    [...text.matchAll(pattern)].map(([, type, target = '']) => {
      const isLocal = target.startsWith('.');
      return {
        from: file,
        to: isLocal ? normalize(join(dirname(file), target)) : target,
        isLocal,
        isType: type !== undefined && type !== '',
      };
    }),
  );
}

/** The version comes from package.json, by way of the index. */
const isPackageVersion = ({ from, to }: Import): boolean => from === 'index.ts' && to === '../package.json';

const imports = files
  .filter((file) => file.endsWith('.ts'))
  .flatMap(importsOf)
  .filter((one) => !isPackageVersion(one));

/** The module of a file below src/: its folder, or `index`. */
function moduleOf(file: string): string {
  return file.includes('/') ? (file.split('/', 1)[0] ?? '') : basename(file, '.ts');
}

function words(text: string | undefined): readonly string[] {
  return text === undefined || text === '' ? [] : text.split(' ');
}

function isAllowed({ from, to, isType }: Import): boolean {
  const [module, target] = [moduleOf(from), moduleOf(to)];
  if (module === target) return true;
  if (module === 'index') return isType || indexMayImport.test(to);
  return words(mayImport[module]).includes(target) || (isType && words(typesToo[module]).includes(target));
}

const shown = ({ from, to }: Import): string => `${from} -> ${to}`;

describe('imports', () => {
  test('the parser of this test sees every form', () => {
    textOf.set(
      'cli/fake.ts',
      [
        "import { a } from '../oci/a.ts';",
        "import type { B } from './b.ts';",
        "import {\n  c,\n  d,\n} from 'c';",
        "import 'side';",
        "export { e } from '../index.ts';",
        "const f = await import('../api/f.ts');",
        "const g = createRequire(import.meta.url)('koffi');",
        "new Worker(new URL('./h.ts', import.meta.url));",
        "// import { no } from 'comment';",
      ].join('\n'),
    );
    const found = importsOf('cli/fake.ts').map(({ to, isType }) => `${to}${isType ? ' type' : ''}`);
    textOf.delete('cli/fake.ts');
    expect(found.toSorted()).toEqual(
      ['oci/a.ts', 'cli/b.ts type', 'c', 'side', 'index.ts', 'api/f.ts', 'koffi', 'cli/h.ts'].toSorted(),
    );
  });

  test('every module is in the table', () => {
    expect(
      files.map(moduleOf).filter((module) => module !== 'index' && mayImport[module] === undefined),
    ).toEqual([]);
  });

  test('modules import only what the table allows', () => {
    expect(imports.filter((one) => one.isLocal && !isAllowed(one)).map(shown)).toEqual([]);
  });

  test('local imports end in .ts and lead to a file', () => {
    const lost = imports.filter(({ to, isLocal }) => isLocal && (!to.endsWith('.ts') || !textOf.has(to)));
    expect(lost.map(shown)).toEqual([]);
  });

  test('an awkward dependency has one importer', () => {
    const strays = imports.filter(({ from, to, isType }) => {
      const only = Object.entries(oneImporter).find(([name]) => to === name || to.startsWith(`${name}/`));
      return only !== undefined && only[1] !== from && !isType;
    });
    expect(strays.map(shown)).toEqual([]);
  });

  test('packages are dependencies of package.json, and all of those are used', () => {
    const { dependencies } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const used = imports
      .filter(({ to, isLocal }) => !isLocal && !to.startsWith('node:'))
      .map(({ to }) => /^(?:@[^/]+\/)?[^/]+/.exec(to)?.[0] ?? to);
    expect([...new Set(used)].toSorted()).toEqual(Object.keys(dependencies).toSorted());
  });

  test('modules do not import each other in a circle of values', () => {
    const above = new Map<string, Set<string>>();
    for (const { from, to, isLocal, isType } of imports) {
      if (isLocal && !isType) above.set(from, (above.get(from) ?? new Set()).add(to));
    }
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' -> '));
      if (done.has(file) || path.includes(file)) return;
      for (const next of above.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of above.keys()) visit(file, []);
    expect(circles).toEqual([]);
  });
});

describe('files', () => {
  test('have kebab-case names', () => {
    const bad = files.filter(
      (file) => !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*\/)*[a-z0-9]+(?:-[a-z0-9]+)*(?:(?:\.d)?\.ts|\.s)$/.test(file),
    );
    expect(bad).toEqual([]);
  });

  test(`are not above ${longest} lines, unless their first comment says why`, () => {
    const long = [...textOf].filter(
      ([, text]) =>
        text.split('\n').length - 1 > longest &&
        !/\b(?:long|length|lines|one file)\b/.test(firstComment(text)),
    );
    expect(long.map(([file]) => file)).toEqual([]);
  });

  test('are not dumping grounds', () => {
    expect(files.filter((file) => /(?:^|\/)(?:utils?|helpers?|common|misc)\.ts$/.test(file))).toEqual([]);
  });

  test('export by name, and hand nothing on but the index', () => {
    const bad = [...textOf].filter(
      ([file, text]) => /^export default\b/m.test(text) || (file !== 'index.ts' && /^export \*/m.test(text)),
    );
    expect(bad.map(([file]) => file)).toEqual([]);
  });
});

function firstComment(text: string): string {
  return /^\s*(?:import[^;]*;\s*)*(\/\*[\s\S]*?\*\/|(?:\/\/.*\n)+)/.exec(text)?.[1] ?? '';
}

describe('error codes', () => {
  const codes = Object.keys(errorCodes);

  test('each has a meaning and an exit status of the table', () => {
    for (const code of codes) {
      const { exit, meaning } = errorCodes[code as keyof typeof errorCodes];
      expect([1, 2, 70, 130], code).toContain(exit);
      expect(meaning, code).toMatch(/^[a-z].{10,}[^.]$/);
    }
  });

  test('each is used somewhere', () => {
    const texts = [...textOf].filter(([file]) => file !== 'util/error-codes.ts').map(([, text]) => text);
    expect(codes.filter((code) => !texts.some((text) => text.includes(`'${code}'`)))).toEqual([]);
  });
});
