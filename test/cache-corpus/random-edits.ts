import fc from 'fast-check';
import type { Scene, SceneFile, SceneFiles } from './scene.ts';
import { tarOf } from './tar-of.ts';

// Random builds and random edits of them. Names, contents and lines are few, so that edits often give what was there before.

const paths = ['a', 'b', 'd/a', 'd/b', 'd/e/a', 'f/a'] as const;
const texts = ['', 'x', 'y', 'two\n', 'xx'] as const;
/** Of the same size and at once: what the racy rule of the stat cache is for. */
const file: fc.Arbitrary<SceneFile> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom<SceneFile>(...texts) },
  fc.record({ text: fc.constantFrom(...texts), mode: fc.constantFrom(0o644, 0o755, 0o600) }),
  fc.record({ text: fc.constantFrom(...texts), mtime: fc.constantFrom(5, 1_000_000_000) }),
  fc.record({ link: fc.constantFrom('x.tar', '../x.tar') }),
);
const ignoreLines = ['b', 'd/b', 'd/*', '!d/a', 'd/e', 'f', '*.md', '# nothing'] as const;
const ignoreFile = fc
  .array(fc.constantFrom(...ignoreLines), { maxLength: 2 })
  .map((lines) => lines.join('\n'));
const users = (uid: number): string => `root:x:0:0::/:\nann:x:${uid}:${uid}::/:\n`;

const sources = ['a', 'b*', 'd', 'd/a*', 'd/*', '*', '.', 'd/e*', 'f*', '?'] as const;
const targets = ['/t/', '/t/d/', '/u/', '/u/', '/', '/file'] as const;
const flags = ['', '', '', '--link ', '--chmod=600 ', '--chown=1:2 ', '--exclude=a ', '--parents '] as const;

/** What a step gives must follow from what it finds, and not from times, nor from which part of a pipe is faster. */
const runs = fc.constantFrom(
  'RUN ls / /t >/list; true',
  'RUN cat /t/* >/cat; true',
  'RUN rm -rf /t /u; mkdir /u; echo x >/u/x',
  'RUN rm -f /file /p/a; echo x >/done',
  'RUN mkdir -p /u/d; count=$(cat /u/* | wc -c); echo $count >/u/count',
  'RUN test -f /file && ln /file /link; true',
  'RUN chmod -R go-rwx /t; chown -R 5:6 /s; true',
  'RUN echo $P $E >/arguments',
  'RUN --mount=target=/m ls -R /m >/files',
  'RUN --mount=from=lib,target=/m cat /m/a >/mounted; true',
  'RUN --mount=type=cache,target=/c echo >>/c/x',
);

/** A line of a stage; `n` is its number, so that only stages before it are named. */
function lineAt(n: number, run: boolean): fc.Arbitrary<string> {
  const copy = fc
    .tuple(fc.constantFrom(...flags), fc.constantFrom(...sources), fc.constantFrom(...targets))
    .map(([flag, source, target]) => `COPY ${flag}${source} ${target}`);
  const several = fc
    .tuple(fc.constantFrom(...sources), fc.constantFrom(...sources))
    .map(([one, other]) => `COPY ${one} ${other} /t/`);
  const others = fc.constantFrom(
    'WORKDIR /w',
    'WORKDIR v',
    'WORKDIR /t',
    ...(run ? [] : ['USER 7']),
    'ENV E=1',
    'LABEL l=1',
    'COPY $P /p/',
    'COPY <<X /t/h\n$P\nX',
    'ADD x.tar /x/',
    'ADD a /t/add',
    'COPY --chown=ann a /named',
    'COPY --from=lib a /lib',
    'COPY --from=lib . /lib/',
    'COPY --from={base} /etc /etc',
  );
  const earlier = fc.nat({ max: Math.max(0, n - 1) });
  const fromStage = fc
    .tuple(
      earlier,
      fc.constantFrom('/', '/t*', '/t/*', '/w*', '/a*', '/u*'),
      fc.constantFrom('/s/', '/s/', '/t/'),
      fc.constantFrom('', '', '', '--link ', '--chown=3 ', '--exclude=a ', '--parents '),
    )
    .map(([stage, source, target, flag]) => `COPY ${flag}--from=s${stage} ${source} ${target}`);
  const mounted = fc
    .tuple(earlier, fc.constantFrom('', ',source=/t', ',source=/u'))
    .map(([stage, source]) => `RUN --mount=from=s${stage},target=/m${source} ls -R /m >/seen`);
  const all = n === 0 ? [copy, copy, several, others] : [copy, several, others, fromStage, fromStage];
  return fc.oneof(...all, ...(run ? [runs, runs, runs] : []), ...(run && n > 0 ? [mounted] : []));
}

interface Stage {
  readonly from: string;
  readonly lines: readonly string[];
}

function stageAt(n: number, run: boolean): fc.Arbitrary<Stage> {
  const bases = [
    run ? '{base}' : 'scratch',
    '{base}',
    '{base}',
    ...(run ? [] : ['lib']),
    ...(n === 0 ? [] : [`s${n - 1}`, 's0']),
  ];
  return fc.record({
    from: fc.constantFrom(...bases),
    lines: fc.array(lineAt(n, run), { minLength: 1, maxLength: 4 }),
  });
}

/** All that an edit may change. */
export interface RandomBuild {
  readonly stages: readonly Stage[];
  readonly files: SceneFiles;
  readonly lib: SceneFiles;
  readonly ignore: string;
  readonly uid: number;
  readonly archive: Readonly<Record<string, string>>;
  readonly argument: string;
  readonly modes: 'git' | undefined;
  /** Stages that are built anew. */
  readonly anew: readonly string[];
}

const contents = fc.tuple(...paths.map(() => fc.option(file, { freq: 4 }))).map((all): SceneFiles => {
  const files: Record<string, SceneFile> = { a: 'x' };
  for (const [index, path] of paths.entries()) {
    const one = all[index];
    if (one !== null && one !== undefined) files[path] = one;
  }
  return files;
});
const lib = fc.record({ a: file, b: file });
const archive = fc.record({ one: fc.constantFrom(...texts), 'd/two': fc.constantFrom(...texts) });

/** `run`: with RUN, on a base that has programs. */
export const firstBuild = (run: boolean): fc.Arbitrary<RandomBuild> =>
  fc.record({
    stages: fc.tuple(stageAt(0, run), stageAt(1, run), stageAt(2, run)),
    files: contents,
    lib,
    ignore: fc.constant(''),
    uid: fc.constant(100),
    archive,
    argument: fc.constant('a'),
    modes: fc.constant(undefined),
    anew: fc.constant([]),
  });

/** One edit: what of the build becomes something else. */
export const randomEdit = (run: boolean): fc.Arbitrary<(build: RandomBuild) => RandomBuild> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.tuple(fc.constantFrom(...paths), file).map(([path, one]) => (build: RandomBuild) => ({
        ...build,
        files: { ...build.files, [path]: one },
      })),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(...paths.slice(1)).map((path) => (build: RandomBuild) => ({
        ...build,
        files: Object.fromEntries(Object.entries(build.files).filter(([name]) => name !== path)),
      })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom(...paths), fc.constantFrom(...paths))
        .map(([from, to]) => (build: RandomBuild) => {
          const { [from]: one = 'x', [to]: other = 'y' } = build.files;
          return { ...build, files: { ...build.files, [from]: other, [to]: one } };
        }),
    },
    {
      weight: 5,
      arbitrary: fc
        .nat({ max: 2 })
        .chain((at) =>
          fc.tuple(
            fc.constant(at),
            fc.nat({ max: 3 }),
            lineAt(at, run),
            fc.constantFrom('change', 'insert', 'remove', 'swap'),
          ),
        )
        .map(([at, index, text, how]) => (build: RandomBuild) => ({
          ...build,
          stages: build.stages.map((one, n) =>
            n === at ? { ...one, lines: editLines(one.lines, { index, text, how }) } : one,
          ),
        })),
    },
    { weight: 1, arbitrary: lib.map((files) => (build: RandomBuild) => ({ ...build, lib: files })) },
    { weight: 1, arbitrary: ignoreFile.map((ignore) => (build: RandomBuild) => ({ ...build, ignore })) },
    { weight: 1, arbitrary: archive.map((files) => (build: RandomBuild) => ({ ...build, archive: files })) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(100, 101).map((uid) => (build: RandomBuild) => ({ ...build, uid })),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom('a', 'b', 'd')
        .map((argument) => (build: RandomBuild) => ({ ...build, argument })),
    },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom('git' as const, undefined)
        .map((modes) => (build: RandomBuild) => ({ ...build, modes })),
    },
    {
      weight: 1,
      arbitrary: fc
        .subarray(['s0', 's1', 's2'], { maxLength: 2 })
        .map((anew) => (build: RandomBuild) => ({ ...build, anew })),
    },
    { weight: 1, arbitrary: fc.constant((build: RandomBuild) => build) },
  );

function editLines(
  lines: readonly string[],
  { index, text, how }: { readonly index: number; readonly text: string; readonly how: string },
): readonly string[] {
  const at = index % lines.length;
  if (how === 'insert') return lines.length > 6 ? lines : lines.toSpliced(at, 0, text);
  if (how === 'remove') return lines.length < 2 ? lines : lines.toSpliced(at, 1);
  if (how === 'change') return lines.with(at, text);
  const next = (at + 1) % lines.length;
  return lines.with(at, lines[next] ?? '').with(next, lines[at] ?? '');
}

/** Files in the place of directories are left out: a scene cannot have both. */
function consistent(files: SceneFiles): SceneFiles {
  const names = Object.keys(files);
  return Object.fromEntries(
    Object.entries(files).filter(([name]) => !names.some((other) => other.startsWith(`${name}/`))),
  );
}

/** @param base What `{base}` is: an image of the scene. */
export function sceneOf(build: RandomBuild, base: string): Scene {
  const stages = build.stages.map(
    ({ from, lines }, n) => `FROM ${from} AS s${n}\nARG P=a\n${lines.join('\n')}\n`,
  );
  return {
    dockerfile: stages.join('').replaceAll('{base}', base),
    files: consistent({
      ...build.files,
      '.dockerignore': `${build.ignore}\n`,
      'x.tar': { bytes: tarOf(build.archive) },
    }),
    bases: {
      [base]: { 'etc/passwd': users(build.uid), 'etc/group': 'root:x:0:\n', 't/old': 'old' },
    },
    contexts: { lib: build.lib },
    http: {},
    git: {},
    options: { buildArgs: { P: build.argument }, contextModes: build.modes, noCacheFilter: build.anew },
  };
}
