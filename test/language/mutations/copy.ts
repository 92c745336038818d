import type { Mutation } from '../mutate-types.ts';

const copy = 'src/image/copy.ts';
const select = 'src/image/copy-select.ts';
const destination = 'src/image/copy-destination.ts';
const context = 'src/source/context-tree.ts';

export const mutations: readonly Mutation[] = [
  {
    row: 'L-ADD-1',
    file: copy,
    from: 'const { content: _, ...entry } = { ...raw, ...owner };',
    to: 'const { content: _, ...entry } = raw;',
  },
  {
    row: 'L-ADD-5',
    file: 'src/frontend/lower-copy.ts',
    from: 'content = heredoc.expand',
    to: 'content = heredoc.expand || heredoc.chomp',
  },
  {
    row: 'L-COPY-1',
    file: 'src/frontend/parse-copy.ts',
    from: 'if (words.length < 2) {',
    to: 'if (words.length < 1) {',
  },
  {
    row: 'L-COPY-3',
    file: 'src/frontend/parse-copy.ts',
    from: "if (from?.text.includes('$') === true) {",
    to: "if (from?.text.includes('${') === true) {",
  },
  {
    row: 'L-COPY-4',
    file: 'src/image/copy-missing.ts',
    from: "if (written.split('/').includes('..'))",
    to: "if (written.includes('/..'))",
  },
  {
    row: 'L-COPY-5',
    file: copy,
    from: "if (item.rel !== '' || op.parents) {",
    to: 'if (op.parents) {',
  },
  {
    row: 'L-COPY-6',
    file: destination,
    from: 'return resolveInRoot(this, path);',
    to: "return resolveInRoot(this, path, 'keep');",
  },
  {
    row: 'L-COPY-7',
    file: destination,
    from: "if (type !== 'directory' && found?.type === 'directory') {",
    to: "if (type === 'file' && found?.type === 'directory') {",
  },
  {
    row: 'L-COPY-8',
    file: 'src/util/glob.ts',
    from: 'if (code !== SLASH) add(next, state);',
    to: 'add(next, state);',
  },
  {
    row: 'L-COPY-9',
    file: select,
    from: 'const real = await tree.resolve(name);',
    to: "const real = await tree.resolve(name, 'keep');",
  },
  {
    row: 'L-COPY-10',
    file: copy,
    from: 'if (shared !== undefined) return shared;',
    to: 'if (shared !== undefined) return { ...shared };',
  },
  {
    row: 'L-COPY-11',
    file: copy,
    from: 'const given = owner ?? (keepOwners ? {} : { uid: 0, gid: 0 });',
    to: 'const given = owner ?? { uid: 0, gid: 0 };',
  },
  {
    row: 'L-COPY-12',
    file: 'src/image/users.ts',
    from: 'const gid = group === undefined ? (account?.gid ?? uid)',
    to: 'const gid = group === undefined ? (account?.gid ?? 0)',
  },
  {
    row: 'L-COPY-13',
    file: 'src/image/copy-mode.ts',
    from: "if (letters.includes('t') && mask !== classes.o) mask |= sticky;",
    to: 'if (mask !== classes.o) mask |= sticky;',
  },
  {
    row: 'L-COPY-14',
    file: 'src/api/runners/copy.ts',
    from: 'const needsBase = !op.link && baseLayers.length > 0;',
    to: 'const needsBase = baseLayers.length > 0;',
  },
  {
    row: 'L-COPY-15',
    file: 'src/frontend/paths.ts',
    from: "const pivot = path.indexOf('/./');",
    to: "const pivot = path.lastIndexOf('/./');",
  },
  {
    row: 'L-COPY-16',
    file: select,
    from: "return (rel) => (rel === '' ? own : exclude.excluded(rel) !== undefined);",
    to: "return (rel) => own || (rel !== '' && exclude.excluded(joinPath(match.below, rel)) !== undefined);",
  },
  {
    row: 'L-COPY-2',
    file: 'src/frontend/parse-copy.ts',
    from: "{ from: 'word', ...shared, parents: 'bool' }",
    to: "{ from: 'word', ...shared, parents: 'bool', checksum: 'word' }",
  },
  {
    row: 'Z-1',
    file: 'src/image/users.ts',
    from: "if (account === undefined) throw unknown('user', name);",
    to: "if (account === undefined) return { name, uid: 0, gid: 0, home: '/' };",
  },
  {
    row: 'Z-2',
    file: 'src/frontend/lower-copy.ts',
    from: 'link: instruction.link && chmod === undefined,',
    to: 'link: instruction.link && instruction.chmod === undefined,',
  },
  {
    row: 'L-COPY-17',
    file: context,
    from: "const pattern = path === '' ? undefined : ignore?.excluded(path);",
    to: "const pattern = path.includes('/') ? undefined : ignore?.excluded(path);",
  },
  {
    row: 'L-COPY-18',
    file: 'src/frontend/lower-copy.ts',
    from: '` --chown=${chown}`',
    to: '` --chown ${chown}`',
  },
  {
    row: 'L-IGN-1',
    file: 'src/source/dockerfile.ts',
    from: 'if (spec === undefined) {\n    candidates.push',
    to: 'if (spec === false) {\n    candidates.push',
  },
  {
    row: 'L-IGN-2',
    file: 'src/source/ignore.ts',
    from: "if (raw.startsWith('#')) continue;",
    to: "if (raw.trim().startsWith('#')) continue;",
  },
  {
    row: 'L-IGN-3',
    file: 'src/util/pattern-list.ts',
    from: 'patterns.findLastIndex(',
    to: 'patterns.findIndex(',
  },
  {
    row: 'L-IGN-4',
    file: 'src/source/load-context.ts',
    from: 'dockerfile: once(() => readDockerfile(local)),',
    to: 'dockerfile: once(() => readDockerfile({ ...local, tree })),',
  },
  {
    row: 'L-IGN-5',
    file: select,
    from: 'const real = await tree.resolve(name);',
    to: "const real = await tree.resolve(name, 'keep');",
  },
];
