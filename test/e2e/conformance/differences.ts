/**
 * Where tsbuild's result may differ from buildah 1.28's, and why: each row is Docker's behaviour (or the stricter reading
 * of the specification). A difference that no row names fails the test; so does a row that explains nothing any more.
 */
export interface Difference {
  /** The folder of the case, or `*`. */
  readonly case: string;
  /** A whole line of the comparison, without the leading `- ` (buildah) or `+ ` (tsbuild). */
  readonly line: RegExp;
  readonly reason: string;
}

export const differences: readonly Difference[] = [
  {
    case: '*',
    line: /^\/(etc\/(hosts|hostname|resolv\.conf)|run\/(\.containerenv|secrets)|dev\/\w+|proc|sys) (file|directory|symlink)/,
    reason:
      'buildah leaves the mount points that it made for RUN in the layer; BuildKit removes them (L-RUN-8)',
  },
  {
    case: '01-metadata',
    line: /^\/srv(\/app(\/conf)?)? directory 0755 0:0$/,
    reason:
      'buildah makes a WORKDIR only when a later step needs it; Docker makes it at once, even if unused (L-WD-1)',
  },
  {
    case: '01-metadata',
    line: /^config Env /,
    reason: 'a variable that is set again keeps its place in Env (L-ENV-1); buildah moves it to the end',
  },
  {
    case: '01-metadata',
    line: /^config Cmd \["\/bin\/sh","(-e",")?-c"/,
    reason: 'the shell form of CMD is wrapped in SHELL (L-CMD-1); buildah 1.28 takes /bin/sh -c',
  },
  {
    case: '05-mounts',
    line: /^\/(mnt|var\/cache) directory/,
    reason:
      'buildah keeps the parents of mount points that it made; BuildKit removes all that are still empty (L-RUN-8)',
  },
  {
    case: '08-user',
    line: /^\/(var\/made|var\/made\/deep|root\/made) directory/,
    reason: 'as in 01-metadata; owned by USER (L-WD-1)',
  },
  {
    case: '08-user',
    line: /^\/home\/app\/work\/chmodded-dir directory/,
    reason: 'COPY --chmod holds for the directory that COPY makes too (L-COPY-6); buildah gives it 0755',
  },
  {
    case: '09-archives',
    line: /^\/owned\/dir/,
    reason: 'ADD --chown overrides the owners of an archive (L-ADD-1); buildah keeps them',
  },
  {
    case: '10-special',
    line: /^\/home\/app\/onbuild directory/,
    reason: 'WORKDIR belongs to the USER in force at its line (L-WD-1); buildah makes it later, as root',
  },
  {
    case: '10-special',
    line: /^\/inherited directory/,
    reason: 'VOLUME is metadata only (L-VOL-1); buildah makes the directory',
  },
];
