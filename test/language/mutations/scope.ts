import type { Mutation } from '../mutate-types.ts';

const scope = 'src/frontend/scope.ts';
const config = 'src/frontend/lower-config.ts';

export const mutations: readonly Mutation[] = [
  {
    row: 'L-ARG-1',
    file: scope,
    from: 'scope = setEnv(scope, name.text, how.expand(value.text, scope, instruction));',
    to: 'scope = setEnv(scope, name.text, value.text);',
  },
  {
    row: 'L-ARG-2',
    file: config,
    from: 'defaultWord === undefined ? getEnv(lowering.globals, name) : expand.word(defaultWord)',
    to: 'getEnv(lowering.globals, name) ?? (defaultWord === undefined ? undefined : expand.word(defaultWord))',
  },
  {
    row: 'L-ARG-3',
    file: 'src/frontend/lower-stage.ts',
    from: 'state: { ...state, hasCmd: false }',
    to: 'state: { ...state, hasCmd: false, args: [], env: readEnv(state.config.Env ?? []) }',
  },
  {
    row: 'L-ARG-4',
    file: 'src/frontend/lower-run.ts',
    from: "`${name}=${getEnv(state.env, name) ?? value ?? ''}`",
    to: "`${name}=${value ?? ''}`",
  },
  {
    row: 'L-ARG-5',
    file: config,
    from: 'value === undefined || hiddenArgNames.has(name)',
    to: 'value === undefined || getEnv(next.env, name) !== undefined || hiddenArgNames.has(name)',
  },
  {
    row: 'Z-3',
    file: config,
    from: 'value === undefined || hiddenArgNames.has(name)',
    to: 'value === undefined || getEnv(next.env, name) !== undefined || hiddenArgNames.has(name)',
  },
  {
    row: 'L-ARG-6',
    file: 'src/frontend/lower.ts',
    from: 'const hint = didYouMean(name, declared);',
    to: 'const hint = didYouMean(name, builtIn);',
  },
  { row: 'L-ARG-7', file: scope, from: "  'ALL_PROXY',\n", to: '' },
  {
    row: 'L-ARG-8',
    file: scope,
    from: "about.target === undefined || about.target === '' ? 'default' : about.target",
    to: "about.target ?? ''",
  },
  { row: 'L-ARG-9', file: scope, from: "  'BUILDKIT_SBOM_SCAN_STAGE',\n]);", to: ']);' },
  {
    row: 'L-ARG-10',
    file: 'src/api/source-date-epoch.ts',
    from: "if (text === 'context') return contexts.main.time?.();",
    to: "if (text === 'context') return undefined;",
  },
  {
    row: 'L-ENV-1',
    file: scope,
    from: 'list.map((pair) => (pair[0] === name ? ([name, value] as const) : pair))',
    to: '[...list.filter((pair) => pair[0] !== name), [name, value]]',
  },
  {
    row: 'L-ENV-2',
    file: 'src/frontend/lower-stage.ts',
    from: "getEnv(env, 'PATH') === undefined ? setEnv(env, 'PATH', defaultPath) : env",
    to: 'env',
  },
  {
    row: 'Z-4',
    file: 'src/frontend/words.ts',
    from: "case '#':\n      case '%':",
    to: "case '#':",
  },
];
