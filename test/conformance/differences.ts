import type { Case } from './case.ts';

/**
 * Where tsbuild's result may differ from the peer's, and why. A difference that no row names fails the case; so does a row
 * of a case that explains nothing any more.
 */
export interface Difference {
  readonly peer: 'docker' | 'buildah';
  /** The name of the case; `*`: whichever has such a line. */
  readonly case: string;
  /** A line of the comparison, without the leading `- ` (the peer) or `+ ` (tsbuild). */
  readonly line: RegExp;
  readonly reason: string;
}

/** The one difference that holds everywhere. */
export const touched: Comparison['accepted'][number] = {
  case: '*',
  reason:
    'a builder that mounts the tree changes the mtime of each directory that it writes into; where the peer has the time of ' +
    'the build on a directory, tsbuild may have the time that the directory had before',
};

export const differences: readonly Difference[] = [
  {
    peer: 'docker',
    case: '*',
    line: /^history \d+ "HEALTHCHECK /,
    reason:
      'the history line of HEALTHCHECK has the form of current BuildKit, `{Test:[CMD-SHELL …] Interval:5m0s …}` (section 1.6); Docker ' +
      'of a Debian release prints a Go pointer with %q',
  },
  {
    peer: 'docker',
    case: 'copy-chmod',
    line: /^\/wide(\/made)? directory/,
    reason:
      'directories that COPY --chmod makes have the bits that it says (L-COPY-6); dockerd takes those of its umask (022) away, ' +
      'as buildkitd, which has none, does not',
  },
  {
    peer: 'docker',
    case: 'copy-exclude',
    line: /^\/(matched-names\/top\.txt|named-in-full(\/top\.md)?) /,
    reason:
      'a file that is named, or matched, itself can be excluded too, as in the example of the Dockerfile reference ' +
      '(`COPY --exclude=*.txt hom* /mydir/`); BuildKit 0.25 looks only at what is in a directory (L-COPY-16)',
  },
  {
    peer: 'docker',
    case: 'extended-attributes',
    line: /^\/(added\/file|copied\/|owned)/,
    reason:
      "attributes of files are kept (L-COPY-10, L-ADD-1); dockerd's image store writes none into layers but security.capability",
  },
  {
    peer: 'docker',
    case: 'hard-links',
    line: /^\/all\/s2? symlink/,
    reason: 'names of one symlink stay names of one (L-COPY-10); BuildKit keeps those of regular files only',
  },
  {
    peer: 'docker',
    case: 'onbuild-links-capabilities',
    line: /^\/copied-capability file/,
    reason:
      'file capabilities of a context are kept (L-COPY-10); Docker loses them: it sends them, and then sets the owner, upon which ' +
      'the kernel drops them',
  },
  {
    peer: 'docker',
    case: 'scratch-image',
    line: /^\/(dev|proc|sys) directory/,
    reason:
      'mount points that only the runtime needed are taken away again (L-RUN-8); BuildKit leaves the three that runc makes',
  },
  {
    peer: 'docker',
    case: 'special-files',
    line: /^\/copied\/block (block|char)/,
    reason: 'a block device stays one (L-COPY-10); BuildKit 0.25 makes a character device of it',
  },
  {
    peer: 'docker',
    case: 'times-and-numbers',
    line: /^\/added\/older file/,
    reason: 'a time before 1970 in an archive is kept (L-ADD-1: as tar -x does); Docker makes 1970 of it',
  },
];

export interface Comparison {
  /** What no row explains: `- ` the peer's, `+ ` ours. */
  readonly lines: readonly string[];
  readonly accepted: readonly { readonly case: string; readonly reason: string }[];
}

const timedDirectory = /^(\S+ directory \d+ \d+:\d+) @-?\d+$/;

/**
 * Compares what `describeImage` told of both images. The order of lines says nothing: each names its path or number. `older`: the
 * peer is not the one that the rows were written for.
 */
export function compareImages(
  { name, peer }: Case,
  {
    ours,
    theirs,
    older,
  }: { readonly ours: readonly string[]; readonly theirs: readonly string[]; readonly older: boolean },
): Comparison {
  const accepted = new Set<Comparison['accepted'][number]>();
  const rows = differences.filter((row) => row.peer === peer && (row.case === '*' || row.case === name));
  // buildah's history has a form of its own, and so has that of each older BuildKit.
  const withHistory = peer !== 'buildah' && !older;
  const compared = (line: string): boolean => withHistory || !line.startsWith('history ');
  const explained = (line: string): boolean => {
    const row = rows.find((difference) => difference.line.test(line));
    if (row !== undefined) accepted.add(row);
    return row !== undefined;
  };
  const untimed = ours.map((line) => {
    const without = line.replace(timedDirectory, '$1');
    if (peer === 'golden' || without === line || !theirs.includes(without)) return line;
    accepted.add(touched);
    return without;
  });
  const lines = [
    ...theirs
      .filter((line) => compared(line) && !untimed.includes(line) && !explained(line))
      .map((line) => `- ${line}`),
    ...untimed
      .filter((line) => compared(line) && !theirs.includes(line) && !explained(line))
      .map((line) => `+ ${line}`),
  ];
  const idle = rows
    .filter((row) => !older && row.case === name && !accepted.has(row))
    .map((row) => `! explains nothing: ${String(row.line)}`);
  return { lines: [...lines, ...idle], accepted: [...accepted] };
}
