/** The rows of the language that tsbuild promises, by family: each has tests named by its ID, or a decision against it. */
const families: Readonly<Record<string, number>> = {
  'L-PARSE': 12,
  'L-DIR': 5,
  'L-VAR': 12,
  'L-ARG': 10,
  'L-ENV': 2,
  'L-FROM': 8,
  'L-RUN': 10,
  'L-MNT': 7,
  'L-COPY': 18,
  'L-ADD': 5,
  'L-CMD': 1,
  'L-ENTRY': 1,
  'L-LABEL': 1,
  'L-MAINT': 1,
  'L-EXPOSE': 1,
  'L-VOL': 1,
  'L-USER': 1,
  'L-WD': 1,
  'L-STOP': 1,
  'L-HC': 1,
  'L-SHELL': 1,
  'L-OB': 1,
  // Image config and history, which the instructions have as side effects.
  'L-CFG': 1,
  'L-HD': 5,
  'L-IGN': 5,
  // Build checks, and the calls that tell of a Dockerfile without building it.
  CK: 22,
  I: 6,
  // Where the documents and the code of the peers disagree.
  Z: 8,
};

/** All IDs, in the order of the families. */
export const rowIds: readonly string[] = Object.entries(families).flatMap(([family, count]) =>
  Array.from({ length: count }, (_, index) => `${family}-${index + 1}`),
);
