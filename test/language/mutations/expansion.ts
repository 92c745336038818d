import type { Mutation } from '../mutate-types.ts';

const file = 'src/frontend/words.ts';

export const mutations: readonly Mutation[] = [
  { row: 'L-VAR-1', file, from: 'return this.take(/\\p{Nd}/u);', to: "return this.chars[this.at++] ?? '';" },
  {
    row: 'L-VAR-2',
    file,
    from: "if (operator === '-') return missing ? word : value;",
    to: "if (operator === '-') return word;",
  },
  {
    row: 'L-VAR-3',
    file,
    from: "if (operator === '+') return missing ? '' : word;",
    to: "if (operator === '+') return value === undefined ? '' : word;",
  },
  { row: 'L-VAR-4', file, from: 'if (!missing) return value;', to: 'if (value !== undefined) return value;' },
  {
    row: 'L-VAR-5',
    file,
    from: "operator === '#' ? stripPrefix(value, pattern, longest)",
    to: "operator === '#' ? stripPrefix(value, pattern, false)",
  },
  {
    row: 'L-VAR-6',
    file,
    from: ': stripSuffix(value, pattern, longest)',
    to: ': stripSuffix(value, pattern, true)',
  },
  {
    row: 'L-VAR-7',
    file,
    from: "const all = this.chars[this.at] === '/';",
    to: 'const all = false;',
  },
  {
    row: 'L-VAR-8',
    file: 'src/frontend/pattern.ts',
    from: "char === '?' ? undefined : char",
    to: 'char',
  },
  { row: 'L-VAR-9', file, from: 'if (++this.depth > depthLimit)', to: 'if (this.depth > depthLimit)' },
  {
    row: 'L-VAR-10',
    file,
    from: `const escapes = next === '"' || next === '$' || next === char;`,
    to: `const escapes = next === '"' || next === char;`,
  },
  {
    row: 'L-VAR-11',
    file: 'src/frontend/lower-config.ts',
    from: 'return [name, expand.word(value)] as const;',
    to: 'const seen = expanderFor(step, state).word(value); state = { ...state, env: setEnv(state.env, name, seen) }; return [name, seen] as const;',
  },
  {
    row: 'L-VAR-12',
    file,
    from: "if ('{}:'.includes(next))",
    to: "if ('}:'.includes(next))",
  },
];
