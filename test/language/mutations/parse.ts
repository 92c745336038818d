import type { Mutation } from '../mutate-types.ts';

const parse = 'src/frontend/parse.ts';
const directives = 'src/frontend/directives.ts';

export const mutations: readonly Mutation[] = [
  {
    row: 'L-PARSE-1',
    file: directives,
    from: "source.text.startsWith('#!', bom)",
    to: "source.text.startsWith('#!x', bom)",
  },
  {
    row: 'L-PARSE-2',
    file: 'src/frontend/mask.ts',
    from: 'Buffer.byteLength(line) <= lineLimit',
    to: 'line.length <= lineLimit',
  },
  {
    row: 'L-PARSE-3',
    file: 'src/frontend/parse-instruction.ts',
    from: 'hint: didYouMean(draft.name, instructionNames),',
    to: '',
  },
  {
    row: 'L-PARSE-4',
    file: 'src/frontend/text.ts',
    from: "} else if (first || !trimmed.startsWith('#')) {",
    to: '} else {',
  },
  {
    row: 'L-PARSE-5',
    file: 'src/frontend/text.ts',
    from: 'const kept = line.slice(0, mark ?? line.length);',
    to: "const kept = line.slice(0, mark ?? line.length).replace(/ +/g, ' ');",
  },
  {
    row: 'L-PARSE-6',
    file: 'src/frontend/text.ts',
    from: 'return end > 1 && line[end - 2] === escape ? undefined : end - 1;',
    to: 'return end - 1;',
  },
  {
    row: 'L-PARSE-7',
    file: 'src/frontend/stages.ts',
    from: "else if (instruction.kind === 'arg') globalArgs.push(instruction);",
    to: 'else if (current === undefined) continue;',
  },
  {
    row: 'L-PARSE-8',
    file: 'src/frontend/lex.ts',
    from: ": 'not-strings';",
    to: ': undefined;',
  },
  { row: 'L-PARSE-9', file: 'src/frontend/flags.ts', from: "if (word.text === '--') break;", to: '' },
  {
    row: 'L-PARSE-10',
    file: 'src/source/dockerfile.ts',
    from: "? ['Dockerfile', 'dockerfile']",
    to: "? ['Dockerfile']",
  },
  { row: 'L-PARSE-11', file: parse, from: 'heredocs.at(-1)?.bodyRange.end ?? head.end', to: 'head.end' },
  {
    row: 'L-PARSE-12',
    file: parse,
    from: "if (text === undefined || text === '') return above.toReversed();",
    to: 'if (text === undefined) return above.toReversed();',
  },
  { row: 'L-DIR-1', file: directives, from: '(?::(?:1|master)(?:[.-].*)?)?', to: '(?::.*)?' },
  {
    row: 'L-DIR-2',
    file: 'src/frontend/mask.ts',
    from: 'const mark = continuationAt(line, escape);',
    to: "const mark = continuationAt(line, '\\\\');",
  },
  {
    row: 'L-DIR-3',
    file: 'src/frontend/checks/options.ts',
    from: "text.split(';')",
    to: '[text]',
  },
  {
    row: 'L-DIR-4',
    file: parse,
    from: 'skip: options.flatMap(({ skip }) => skip),',
    to: 'skip: [],',
  },
  {
    row: 'L-DIR-5',
    file: directives,
    from: "!['syntax', 'escape', 'check'].includes(key)) break;",
    to: "!['syntax', 'escape', 'check'].includes(key)) { start = end + 1; continue; }",
  },
  {
    row: 'L-HD-1',
    file: 'src/frontend/heredoc.ts',
    from: "heredoc.chomp ? heredoc.body.replace(/^\\t+/gm, '') : heredoc.body",
    to: 'heredoc.body',
  },
  {
    row: 'L-HD-2',
    file: 'src/frontend/lower-run.ts',
    from: "if (!first.body.startsWith('#!'))",
    to: 'if (first.body.length > 0)',
  },
  {
    row: 'L-RUN-2',
    file: 'src/frontend/lower-run.ts',
    from: "if (!first.body.startsWith('#!'))",
    to: "if (content.startsWith('#!'))",
  },
  {
    row: 'L-HD-3',
    file: 'src/frontend/lower-run.ts',
    from: '`${before}\\n${body}${name}`',
    to: '`${before}\\n${body}`',
  },
  {
    row: 'L-HD-4',
    file: 'src/frontend/parse-copy.ts',
    from: "if (last.kind === 'heredoc') {",
    to: "if (last.kind === 'heredoc' && words.length > 9) {",
  },
  { row: 'L-ADD-5', file: 'src/frontend/lower-copy.ts', from: 'mode: 0o644', to: 'mode: 0o600' },
  {
    row: 'L-HD-5',
    file: 'src/frontend/heredoc.ts',
    from: 'first.trimEnd().length > 80 ? first.slice(0, 80)',
    to: 'first.trimEnd().length > 800 ? first.slice(0, 80)',
  },
];
