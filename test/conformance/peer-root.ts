import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../support/cli.ts';
import { projectRoot } from '../support/paths.ts';
import { findTool } from '../support/require.ts';

const cache = join(projectRoot, 'node_modules/.cache/tsbuild-conformance');
const packages = ['docker.io', 'buildah', 'netavark', 'runc', 'xz-utils'];

/** Releases of Debian whose Docker is newer than the one before, newest first, and what else belongs to it. */
const newer = { forky: ['docker-cli', 'docker-buildx'], trixie: ['docker-cli', 'docker-buildx'] } as const;

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
 * Makes the root of the newest release that this machine's mirror has, or takes the one made before: Debian's newer ones,
 * else that of the host itself. `only` names one release, or is `none`. Undefined where there is none; `tell` hears why. What is
 * kept lies in node_modules/.cache.
 */
export async function peerRoot(
  only: string | undefined,
  tell: (line: string) => void,
): Promise<PeerRoot | undefined> {
  if (only === 'none') return undefined;
  if (findTool('mmdebstrap') === undefined) {
    tell('no root for them: mmdebstrap is missing (apt-get install mmdebstrap)');
    return undefined;
  }
  const own = await hostSources();
  const debian = own.find(({ origin }) => origin === 'Debian');
  const candidates = [
    ...Object.entries(newer).map(([release, more]) => ({
      release,
      packages: [...packages, ...more],
      sources: debian === undefined ? [] : [`deb ${debian.mirror} ${release} main`],
    })),
    { release: hostRelease(), packages, sources: own.map(({ line }) => line) },
  ].filter(({ release }) => only === undefined || release === only);
  for (const candidate of candidates) {
    const { release, sources } = candidate;
    const path = join(cache, `${release}-1`);
    if (existsSync(path)) return { release, path };
    const failure =
      sources.length === 0 ? 'apt knows no mirror that has it' : await makeRoot(path, candidate);
    if (failure === undefined) return { release, path };
    tell(`no root of ${release}: ${failure}`);
  }
  return undefined;
}

interface Candidate {
  readonly release: string;
  readonly packages: readonly string[];
  readonly sources: readonly string[];
}

function hostRelease(): string {
  const file = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return /^VERSION_CODENAME=(\w+)$/m.exec(file)?.[1] ?? 'unknown';
}

/** The distribution's own sources as this machine's apt has them, read anew each time; those of other vendors stay out. */
async function hostSources(): Promise<{ origin: string; mirror: string; line: string }[]> {
  const format = '$(ORIGIN)|$(LABEL)|$(SIGNED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)';
  const { stdout } = await command('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  return [...new Set(stdout.split('\n'))].flatMap((text) => {
    const [origin = '', label, key = '', uri = '', release = '', component = ''] = text.split('|');
    if (!['Debian', 'Ubuntu'].includes(origin) || label !== origin) return [];
    const mirror = key.startsWith('/') ? `[signed-by=${key}] ${uri}` : uri;
    return [{ origin, mirror, line: `deb ${mirror} ${release} ${component}` }];
  });
}

/** Returns why it could not be made. */
async function makeRoot(
  path: string,
  { release, packages: include, sources }: Candidate,
): Promise<string | undefined> {
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
    `--include=${include.join(',')}`,
  ];
  try {
    const made = await command('mmdebstrap', [...args, release, partial, ...sources], { timeout: 300_000 });
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
    // Another run may have made it meanwhile.
    if (!existsSync(path)) renameSync(partial, path);
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
