import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../support/cli.ts';
import { projectRoot } from '../support/paths.ts';
import { findTool } from '../support/require.ts';

/** Debian's releases whose Docker and buildah are worth having, newest first. */
export const releases = ['forky', 'trixie'] as const;

const cache = join(projectRoot, 'node_modules/.cache/tsbuild-conformance');
const packages = ['docker.io', 'docker-cli', 'docker-buildx', 'buildah', 'netavark', 'runc', 'xz-utils'];
// Of no use to a daemon, and more than a third of the whole.
const unneeded = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/locale',
  'usr/share/perl',
  'var/cache/apt',
  'var/lib/apt',
];

/** A root filesystem with a newer Docker and buildah than the host's release has. */
export interface PeerRoot {
  readonly release: string;
  readonly path: string;
}

/**
 * Makes the root of the newest release that this machine's mirror of Debian has, or takes the one made before. Undefined
 * where there is none; `tell` hears why. What is kept lies in node_modules/.cache.
 */
export async function peerRoot(tell: (line: string) => void): Promise<PeerRoot | undefined> {
  if (findTool('mmdebstrap') === undefined) {
    tell('no root of another release: mmdebstrap is missing (apt-get install mmdebstrap)');
    return undefined;
  }
  const mirror = await debianMirror();
  for (const release of releases) {
    const path = join(cache, `${release}-1`);
    if (existsSync(path)) return { release, path };
    if (mirror === undefined) continue;
    const failure = await makeRoot(release, path, mirror);
    if (failure === undefined) return { release, path };
    tell(`no root of ${release}: ${failure}`);
  }
  if (mirror === undefined) tell('no root of another release: this apt knows no mirror of Debian');
  return undefined;
}

/** `[signed-by=…] uri` of the mirror that this machine's apt uses, read anew each time. */
async function debianMirror(): Promise<string | undefined> {
  const format = '$(ORIGIN)|$(LABEL)|$(SIGNED_BY)|$(REPO_URI)';
  const { stdout } = await command('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  for (const line of stdout.split('\n')) {
    const [origin, label, key = '', uri] = line.split('|');
    if (origin !== 'Debian' || label !== 'Debian' || uri === undefined) continue;
    return key.startsWith('/') ? `[signed-by=${key}] ${uri}` : uri;
  }
  return undefined;
}

/** Returns why it could not be made. */
async function makeRoot(release: string, path: string, mirror: string): Promise<string | undefined> {
  const partial = `${path}.${process.pid}`;
  mkdirSync(cache, { recursive: true });
  const args = [
    '--quiet',
    '--format=directory',
    // Unpacked only: no script of a package runs, and the root needs no shell.
    '--variant=extract',
    // A mirror may be a frozen copy whose release files have expired.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    ...(await aptOptions()),
    `--include=${packages.join(',')}`,
  ];
  try {
    const source = `deb ${mirror} ${release} main`;
    const made = await command('mmdebstrap', [...args, release, partial, source], { timeout: 300_000 });
    if (made.code !== 0) return lastLine(made.stderr);
    for (const name of unneeded) rmSync(join(partial, name), { recursive: true, force: true });
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
      if (!existsSync(join(partial, name))) symlinkSync(`usr/${name}`, join(partial, name));
    }
    for (const name of ['dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'var/tmp']) {
      mkdirSync(join(partial, name), { recursive: true });
    }
    // buildah asks who it is.
    writeFileSync(join(partial, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
    writeFileSync(join(partial, 'etc/group'), 'root:x:0:\n');
    const tried = await command('chroot', [partial, 'dockerd', '--version']);
    if (tried.code !== 0) return `its dockerd does not start here: ${lastLine(tried.stderr)}`;
    renameSync(partial, path);
    return undefined;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** What the host's apt needs to reach its mirror. */
async function aptOptions(): Promise<string[]> {
  const names = ['Acquire::Check-Date', 'Acquire::http::Proxy', 'Acquire::https::Proxy'];
  const { stdout } = await command('apt-config', ['dump']);
  return stdout
    .split('\n')
    .filter((line) => names.includes(line.split(' ')[0] ?? ''))
    .map((line) => `--aptopt=${line.replace(/;$/, '')}`);
}

function lastLine(text: string): string {
  const lines = text.trim().split('\n');
  return lines.findLast((line) => line.startsWith('E:')) ?? lines.at(-1) ?? '';
}
