import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../support/cli.ts';
import type { Peer } from './docker.ts';
import { readArchive } from './docker.ts';
import type { Jail } from './jail.ts';

/** The buildah of the jail, with storage of its own below `work`. */
export async function startBuildah(jail: Jail, work: string): Promise<Peer> {
  const state = join(work, 'buildah');
  mkdirSync(state);
  // It asks for both, and a root of unpacked packages may have neither.
  const policy = join(state, 'policy.json');
  writeFileSync(policy, '{ "default": [{ "type": "insecureAcceptAnything" }] }\n');
  const registries = join(state, 'registries.conf');
  writeFileSync(registries, '');
  const places = [
    '--root',
    join(state, 'root'),
    '--runroot',
    join(state, 'run'),
    '--storage-driver',
    'overlay',
  ];
  const buildah = (verb: string, ...args: readonly string[]): Promise<string> =>
    must(jail.run('buildah', ['--registries-conf', registries, ...places, verb, ...args]));
  const how = [
    '--format',
    'docker',
    '--isolation',
    'oci',
    '--runtime',
    'runc',
    '--network',
    'host',
    '--layers',
  ];
  const version = /version ([\d.]+)/.exec(await buildah('--version'))?.[1] ?? '';
  return {
    kind: 'buildah',
    name: `buildah ${version}`,
    version: Number(version.split('.')[1]),
    load: async (archive) => {
      await buildah('pull', '--quiet', '--signature-policy', policy, `docker-archive:${archive}`);
    },
    build: async (context, tag, more) => {
      const quiet = ['--identity-label=false', '--pull-never', '--signature-policy', policy];
      return buildah('build', ...how, ...quiet, '--tag', tag, ...more, context);
    },
    save: async (tag, archive) => {
      await buildah('push', '--quiet', '--signature-policy', policy, tag, `docker-archive:${archive}:${tag}`);
    },
    read: async (tag) => {
      const archive = join(state, `${tag.replaceAll('/', '-')}.tar`);
      await buildah('push', '--quiet', '--signature-policy', policy, tag, `docker-archive:${archive}:${tag}`);
      return readArchive(archive);
    },
  };
}
