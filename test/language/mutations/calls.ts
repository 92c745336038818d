import type { Mutation } from '../mutate-types.ts';

export const mutations: readonly Mutation[] = [
  {
    row: 'I-1',
    file: 'src/frontend/outline.ts',
    from: 'const reached = file.stages.filter(({ index }) => lowered.stages.has(index));',
    to: 'const reached = file.stages;',
  },
  {
    row: 'I-2',
    file: 'src/frontend/outline.ts',
    from: '.filter(({ name, index }) => name !== undefined || index === last)',
    to: '.filter(({ name }) => name !== undefined)',
  },
  {
    row: 'I-4',
    file: 'src/cli/call.ts',
    from: "'subrequests.describe': {",
    to: "'subrequests.describes': {",
  },
  {
    row: 'I-5',
    file: 'src/cli/call.ts',
    from: "format = value === 'json' ? 'json' : 'text';",
    to: "format = value === 'json' ? 'text' : 'json';",
  },
  {
    row: 'I-6',
    file: 'src/frontend/outline.ts',
    from: 'if (match?.[1]?.toLowerCase() === name?.toLowerCase()) return match?.[2];',
    to: 'if (match !== null) return match[2];',
  },
];
