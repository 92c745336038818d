/** The rows of the registry client, by family: each has tests named by its ID. */
const families: Readonly<Record<string, number>> = {
  'R-AUTH': 9,
  'R-PULL': 4,
  'R-PUSH': 3,
  'R-RETRY': 1,
  'R-RATE': 1,
  'R-MIR': 1,
  'R-TLS': 1,
  'R-REF': 1,
  'R-MT': 1,
  'R-NAME': 1,
  'R-MISC': 1,
  // The flags of the command line that are about registries.
  'C-RE': 6,
};

/** All IDs, in the order of the families. */
export const rowIds: readonly string[] = Object.entries(families).flatMap(([family, count]) =>
  Array.from({ length: count }, (_, index) => `${family}-${index + 1}`),
);

/** Where tsbuild goes another way than a row says, or does a part of it alone, and why. */
export const decisions: Readonly<Record<string, string>> = {
  'R-AUTH-3':
    '`issued_at` is the other side’s clock and is not looked at: a token’s time begins when it arrives',
  'R-AUTH-4':
    'passwords go by GET with Basic, which every token server knows; a new refresh token is used as long as the process lives, and written to no file',
  'R-AUTH-6': 'of `HttpHeaders` those that docker’s engine passes on to registries: `X-Meta-*`',
  'R-PULL-3':
    'lazy formats are read as what they also are, gzip and zstd; laziness is that of whole layers, which works with every image',
  'R-MIR-1':
    'a short name is Docker Hub’s whatever registries.conf calls it, so that a Dockerfile means the same everywhere; the alias stands in the error’s hint',
  'R-TLS-1': 'no `--cert-dir`: `--ca` for authorities, hosts.toml or buildkitd.toml for client certificates',
  'R-MISC-1':
    'no catalog (public registries have none), no rebase and flatten (they make images that no Dockerfile describes)',
  'C-RE-1': '`--credential-helpers` is what credHelpers of docker’s config.json says',
  'C-RE-4': '`--registry-map` is `--registry-mirror REGISTRY=MIRROR`',
  'C-RE-5': 'no flags: which failures pass is known, and `Retry-After` says how long',
  'C-RE-6': 'always checked: it costs two requests',
};
