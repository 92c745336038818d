import type { Mutation } from '../mutate-types.ts';

export const mutations: readonly Mutation[] = [
  { row: 'L-ADD-2', file: 'src/frontend/remote.ts', from: "name === '' || name === '.'", to: "name === '.'" },
  {
    row: 'L-ADD-3',
    file: 'src/source/http.ts',
    from: 'if (source.checksum !== undefined && fresh.digest !== source.checksum) {',
    to: 'if (source.checksum === fresh.digest) {',
  },
  {
    row: 'L-ADD-4',
    file: 'src/util/git-url.ts',
    from: "prefixed('refs/tags/', query.get('tag'))",
    to: "prefixed('refs/heads/', query.get('tag'))",
  },
];
