import type { Mutation } from '../mutate-types.ts';

const from = 'src/frontend/checks/from-rules.ts';
const instruction = 'src/frontend/checks/instruction-rules.ts';

export const mutations: readonly Mutation[] = [
  {
    row: 'CK-1',
    file: from,
    from: 'edits?.concat(uses.flatMap(',
    to: 'edits?.concat(uses.slice(1).flatMap(',
  },
  {
    row: 'CK-2',
    file: from,
    from: "wanted === 'mixed' || casing(as.text) === wanted",
    to: 'casing(as.text) === wanted',
  },
  {
    row: 'CK-3',
    file: instruction,
    from: 'const next = { line: range.start.line + 1, column: 1 };',
    to: 'const next = { line: range.start.line + 2, column: 1 };',
  },
  {
    row: 'CK-4',
    file: instruction,
    from: "const wanted = lower > upper ? 'lower' : 'upper';",
    to: "const wanted = lower >= upper ? 'lower' : 'upper';",
  },
  { row: 'CK-5', file: from, from: 'seen.add(name);', to: 'seen.add(from.image.text);' },
  { row: 'CK-6', file: from, from: "name !== 'scratch' && name !== 'context'", to: "name !== 'scratch'" },
  {
    row: 'CK-7',
    file: 'src/frontend/lower-config.ts',
    from: "command.form === 'shell' && (state.config.Shell ?? []).length === 0",
    to: "command.form === 'shell'",
  },
  {
    row: 'CK-8',
    file: instruction,
    from: "if (instruction.kind !== 'maintainer') continue;",
    to: "if (instruction.kind !== 'user') continue;",
  },
  {
    row: 'CK-9',
    file: from,
    from: 'for (const word of [from.image, from.platform])',
    to: 'for (const word of [from.image])',
  },
  {
    row: 'CK-10',
    file: 'src/frontend/lower-stage.ts',
    from: 'state: { ...state, hasCmd: false }',
    to: 'state: { ...state, hasCmd: false, hasWorkdir: false }',
  },
  { row: 'CK-11', file: 'src/frontend/lowering.ts', from: 'if (state.unseenBase || ', to: 'if (' },
  {
    row: 'CK-12',
    file: instruction,
    from: 'for (const ignored of found.slice(0, -1))',
    to: 'for (const ignored of found.slice(1))',
  },
  { row: 'CK-13', file: instruction, from: 'if (!/\\s/.test(text)) return text;', to: 'return text;' },
  {
    row: 'CK-14',
    file: 'src/frontend/lower-stage.ts',
    from: 'if (sameProcessor(image.platform, platform)) return;',
    to: 'if (!options.platformIsExplicit) return;',
  },
  {
    row: 'CK-15',
    file: from,
    from: "if (text === '*' || result !== '*') continue;",
    to: "if (text === '*' || result?.includes('*') !== true) continue;",
  },
  {
    row: 'CK-16',
    file: 'src/util/looks-secret.ts',
    from: 'secretWords.test(name) && !harmlessWords.test(name)',
    to: 'secretWords.test(name)',
  },
  {
    row: 'CK-17',
    file: from,
    from: 'attempt(() => parseReference(image)) !== undefined',
    to: "image !== ''",
  },
  {
    row: 'CK-18',
    file: from,
    from: 'name.includes(platform.os) || name.includes(platform.architecture)',
    to: 'name.includes(text)',
  },
  {
    row: 'CK-19',
    file: 'src/api/plan.ts',
    from: 'ignore.patterns.some(({ negated }) => negated)',
    to: 'ignore.patterns.length === 0',
  },
  { row: 'CK-20', file: 'src/frontend/checks/rules.ts', from: '    experimental: true,\n', to: '' },
  {
    row: 'CK-21',
    file: 'src/frontend/lower-config.ts',
    from: "if (word.text.includes('$')) checkPort(",
    to: "if (word.text.includes('?')) checkPort(",
  },
  {
    row: 'CK-22',
    file: instruction,
    from: "word.text.slice(word.text.lastIndexOf(':') + 1)",
    to: "word.text.slice(0, word.text.lastIndexOf(':'))",
  },
  {
    row: 'I-3',
    file: 'src/cli/commands/check.ts',
    from: 'return findings.length === 0 && errors.length === 0 ? 0 : 1;',
    to: 'return errors.length === 0 ? 0 : 1;',
  },
  {
    row: 'CK-13',
    file: 'src/frontend/lower.ts',
    from: 'stages.has(index) && !isContext(bases[index])',
    to: '!isContext(bases[index])',
  },
  {
    row: 'CK-14',
    file: 'src/frontend/lower.ts',
    from: 'checkRule(rule) !== undefined',
    to: "checkRule(rule) !== undefined && rule !== 'InvalidBaseImagePlatform'",
  },
  {
    row: 'I-3',
    file: 'src/cli/check-report.ts',
    from: 'description: descriptions.get(item.rule),',
    to: 'description: item.message,',
  },
];
