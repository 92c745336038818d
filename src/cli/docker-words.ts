const noContainers =
  'tsbuild keeps no containers: `tsbuild run` tries an image out, `tsbuild shell` looks around in a build';
const disk = '`tsbuild du` shows what takes the disk, `tsbuild prune` removes what nobody uses';
const leaveOut = 'leave it out: `tsbuild build .`';

/** What to write instead of commands of docker that are none here. A suggestion by spelling alone would mislead: `ps` is no `ls`. */
const hints: ReadonlyMap<string, string> = new Map([
  ...['ps', 'exec', 'container', 'start', 'stop', 'kill', 'rm'].map((word) => [word, noContainers] as const),
  ...['system', 'builder', 'df'].map((word) => [word, disk] as const),
  ...['docker', 'buildx', 'podman', 'buildah'].map((word) => [word, leaveOut] as const),
  [
    'image',
    'leave it out: `tsbuild images`, `pull`, `push`, `tag`, `rmi`, `inspect`, `history`, `save`, `load`',
  ],
  ['cp', '`tsbuild copy` copies images; files come out of a build with `-o DIRECTORY`'],
  ['tags', '`tsbuild ls REPOSITORY` lists the tags in a registry'],
  ['imagetools', 'see `tsbuild manifest --help` and `tsbuild copy --help`'],
  ['commit', 'write the change into a Dockerfile as a RUN line, and build that'],
  ['logs', '`tsbuild builds logs` shows what the steps of a build have said'],
  ['bake', 'not in this version: run tsbuild once for each target'],
  ['compose', 'not in this version: run tsbuild once for each image'],
]);

/** A hint for who types a command of docker; undefined: it is none that is known. */
export function dockerWordHint(word: string): string | undefined {
  return hints.get(word);
}
