import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { command, must } from '../support/cli.ts';
import type { FlatImage } from './describe.ts';
import { readDockerArchive } from './describe.ts';
import type { Jail } from './jail.ts';

/** A builder that results are compared with. */
export interface Peer {
  readonly kind: 'docker' | 'buildah';
  /** Its name and version. */
  readonly name: string;
  /** Its major version; the minor one of buildah 1. */
  readonly version: number;
  /** Takes a base image from a docker archive. */
  readonly load: (archive: string) => Promise<void>;
  /** Builds and tags the result; returns all that the builder said, or throws with it. */
  readonly build: (context: string, tag: string, args: readonly string[]) => Promise<string>;
  /** Writes a docker archive. */
  readonly save: (tag: string, archive: string) => Promise<void>;
  readonly read: (tag: string) => Promise<FlatImage>;
}

/** Starts dockerd in the jail, with all its state below `work`. It ends with the jail. */
export async function startDocker(jail: Jail, work: string): Promise<Peer> {
  const state = join(work, 'docker');
  mkdirSync(state, { recursive: true });
  const host = `unix://${join(state, 'docker.sock')}`;
  const flags = ['--iptables=false', '--ip6tables=false', '--bridge=none', '--host', host];
  const places = ['--data-root', join(state, 'data'), '--exec-root', join(state, 'exec')];
  const files = ['--pidfile', join(state, 'docker.pid'), '--cgroup-parent', jail.cgroup];
  const [file, args] = jail.enter('dockerd', [...flags, ...places, ...files]);
  const daemon = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  const log: string[] = [];
  daemon.stderr.setEncoding('utf8').on('data', (data: string) => log.push(data));
  const docker = (...more: string[]) => jail.run('docker', ['--host', host, ...more]);
  const deadline = Date.now() + 60_000;
  let version = '';
  while (version === '') {
    const { code, stdout } = await docker('version', '--format', '{{.Server.Version}}');
    if (code === 0) version = stdout.trim();
    else if (daemon.exitCode !== null || Date.now() > deadline) {
      throw new Error(`dockerd does not come up:\n${log.join('').split('\n').slice(-6).join('\n')}`);
    } else await sleep(200);
  }
  return {
    kind: 'docker',
    name: `docker ${version}`,
    version: Number.parseInt(version, 10),
    load: async (archive) => {
      await must(docker('load', '--quiet', '--input', archive));
    },
    build: async (context, tag, more) => {
      const how = ['--network=host', '--progress=plain', '--tag', tag];
      const result = await docker('build', ...how, ...more, context);
      await must(Promise.resolve(result));
      return result.stderr;
    },
    save: async (tag, archive) => {
      await must(docker('save', '--output', archive, tag));
    },
    read: async (tag) => {
      const archive = join(state, `${tag.replaceAll('/', '-')}.tar`);
      await must(docker('save', '--output', archive, tag));
      return readArchive(archive);
    },
  };
}

/** Unpacks a docker archive beside it, reads it and removes both. */
export async function readArchive(archive: string): Promise<FlatImage> {
  const folder = `${archive}.d`;
  mkdirSync(folder);
  try {
    await must(command('tar', ['-C', folder, '-xf', archive]));
    return await readDockerArchive(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(archive, { force: true });
  }
}
