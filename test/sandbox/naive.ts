import { spawnSync } from 'node:child_process';

// How a builder would do it that joins paths and trusts what it finds: what an attempt does to that shows that it is one.

/** Runs a shell script in mount and pid namespaces of its own, so that what it mounts goes with it. Says whether it ended well. */
export function inOwnMounts(script: string, ...words: readonly string[]): boolean {
  const args = ['--mount', '--pid', '--fork', '--mount-proc', 'sh', '-c', script, 'sh', ...words];
  return spawnSync('unshare', args, { stdio: 'ignore', timeout: 10_000 }).status === 0;
}

/** Mounts at a path of a root filesystem; does that land on `victim`? */
export function mountLandsOn(root: string, path: string, victim: string): boolean {
  return inOwnMounts(
    'mkdir -p "$1$2" && mount -t tmpfs none "$1$2" && : >"$1$2/made" && [ -e "$3/made" ]',
    ...[root, path, victim],
  );
}

/**
 * Goes to a working directory in a container that has a descriptor of the host's `folder` open, as runc before 1.1.12 had; is it that folder?
 * `mounts` are put into the container before: targets and their sources.
 */
export function startsIn(
  root: string,
  path: string,
  about: { readonly folder: string; readonly mounts?: Readonly<Record<string, string>> },
): boolean {
  const binds = Object.entries(about.mounts ?? {}).map(
    ([target, source]) => `mkdir -p "$1${target}" && mount --bind "${source}" "$1${target}"`,
  );
  return inOwnMounts(
    [
      'mount --bind "$1" "$1" && cd "$1" && mkdir -p proc dev && mount -t proc proc proc',
      'mount -t tmpfs none dev && ln -s /proc/self/fd dev/fd',
      ...binds,
      'exec 7<"$3" && exec chroot "$1" /bin/sh -c \'cd "$1" && [ -e marker ]\' sh "$2"',
    ].join(' && '),
    ...[root, path, about.folder],
  );
}

/** Does reading this take longer than a moment? */
export function hangs(path: string): boolean {
  return spawnSync('cat', [path], { stdio: 'ignore', timeout: 300 }).signal !== null;
}
