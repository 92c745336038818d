import { dirname, join } from 'node:path';
import { configHome, dockerConfigPath, set } from '../util/docker-config.ts';
import type { Diagnostic } from '../util/diagnostic.ts';
import type { BuildkitdFile } from './buildkitd-toml.ts';
import { parseBuildkitdFile } from './buildkitd-toml.ts';
import type { RegistryConfiguration } from './endpoints.ts';
import { registryName } from './endpoints.ts';
import type { HostsFile } from './hosts-toml.ts';
import { readHostsFile } from './hosts-toml.ts';
import type { RegistriesConf } from './registries-conf.ts';
import { readRegistriesConf } from './registries-conf.ts';
import type { SeeTable } from './toml.ts';
import { badFile, readConfigText, readToml } from './toml.ts';
import type { FileKind } from './unknown-keys.ts';
import { unknownKeys } from './unknown-keys.ts';

/** Where the files are that say how registries are reached. An empty list reads none of a kind. */
export interface RegistryPlaces {
  /** containerd's: directories with one folder per host, and in it a hosts.toml. The first that has the host counts. */
  readonly hostsDirectories: readonly string[];
  /** BuildKit's buildkitd.toml: the first that exists. */
  readonly buildkitd: readonly string[];
  /** containers' registries.conf: the first that exists. */
  readonly registriesConf: readonly string[];
  readonly registriesConfDirectories: readonly string[];
  /** docker's daemon.json: all that can be read. */
  readonly dockerDaemon: readonly string[];
}

/** The usual places: the user's before the system's. */
export function registryPlaces(env: NodeJS.ProcessEnv): RegistryPlaces {
  const config = configHome(env);
  const own = (...path: readonly string[]): readonly string[] =>
    config === undefined ? [] : [join(config, ...path)];
  const named = env['CONTAINERS_REGISTRIES_CONF'] ?? '';
  const docker = dockerConfigPath(env);
  const buildx =
    set(env['BUILDX_CONFIG']) ?? (docker === undefined ? undefined : join(dirname(docker), 'buildx'));
  return {
    hostsDirectories: [...own('containerd', 'certs.d'), '/etc/containerd/certs.d'],
    buildkitd: [
      // What `docker buildx create` gives to each new builder.
      ...(buildx === undefined ? [] : [join(buildx, 'buildkitd.default.toml')]),
      ...own('buildkit', 'buildkitd.toml'),
      '/etc/buildkit/buildkitd.toml',
    ],
    registriesConf:
      named !== '' ? [named] : [...own('containers', 'registries.conf'), '/etc/containers/registries.conf'],
    registriesConfDirectories: [
      '/etc/containers/registries.conf.d',
      ...own('containers', 'registries.conf.d'),
    ],
    dockerDaemon: ['/etc/docker/daemon.json', ...own('docker', 'daemon.json')],
  };
}

export const noPlaces: RegistryPlaces = {
  hostsDirectories: [],
  buildkitd: [],
  registriesConf: [],
  registriesConfDirectories: [],
  dockerDaemon: [],
};

/** What the files say; each is read when it is first asked for, and once. */
export interface RegistryFiles {
  /** What concerns this registry. Error: CONFIG_INVALID. */
  of(registry: string): Promise<RegistryConfiguration>;
  /** Error: CONFIG_INVALID. */
  registriesConf(): Promise<RegistriesConf>;
}

/** `warn` hears once of each key that nothing reads. */
export function openRegistryFiles(
  places: RegistryPlaces,
  warn: (warning: Diagnostic) => void = () => {},
): RegistryFiles {
  const warned = new Set<string>();
  const seeing =
    (kind: FileKind): SeeTable =>
    (table, path) => {
      // `_default/hosts.toml` is read for each registry.
      if (warned.has(path)) return;
      warned.add(path);
      unknownKeys(kind, table, path).forEach(warn);
    };
  let conf: Promise<RegistriesConf> | undefined;
  let daemon: Promise<DockerDaemon> | undefined;
  let buildkit: Promise<BuildkitdFile | undefined> | undefined;
  const known = new Map<string, Promise<RegistryConfiguration>>();

  const seeHosts = seeing('hosts');

  async function load(registry: string): Promise<RegistryConfiguration> {
    const [{ rules }, docker, buildkitd, hostsFile, defaultHostsFile] = await Promise.all([
      registriesConf(),
      (daemon ??= readDockerDaemon(places.dockerDaemon)),
      (buildkit ??= readBuildkitd(places.buildkitd, seeing('buildkitd'))),
      findHostsFile([registry, registry], places.hostsDirectories, seeHosts),
      findHostsFile(['_default', registry], places.hostsDirectories, seeHosts),
    ]);
    return {
      ...{ rules, hostsFile, defaultHostsFile, buildkitd },
      dockerMirrors: docker.mirrors,
      insecure: docker.insecure,
      nondistributable: docker.nondistributable,
    };
  }

  function registriesConf(): Promise<RegistriesConf> {
    const { registriesConf: files, registriesConfDirectories: directories } = places;
    return (conf ??= readRegistriesConf({ files, directories }, seeing('registriesConf')));
  }

  return {
    registriesConf,
    of(registry) {
      const name = registryName(registry);
      const made = known.get(name) ?? load(name);
      known.set(name, made);
      return made;
    },
  };
}

/** containerd's names of a host's folder: `host_5000_` (for systems without colons in names), `host:5000`. */
async function findHostsFile(
  [folder, registry]: readonly [folder: string, registry: string],
  directories: readonly string[],
  see: SeeTable,
): Promise<HostsFile | undefined> {
  // A host becomes a file name here, so nothing but a plain one is looked up.
  if (!/^(?:[a-z0-9_][\w.-]*|\[[a-f0-9:]+\])(?::\d+)?$/i.test(folder)) return undefined;
  const portable = folder.replace(/:(\d+)$/, '_$1_');
  for (const directory of directories) {
    for (const name of new Set([portable, folder])) {
      const file = await readHostsFile(join(directory, name, 'hosts.toml'), registry, see);
      if (file !== undefined) return file;
    }
  }
  return undefined;
}

interface DockerDaemon {
  readonly mirrors: readonly string[];
  readonly insecure: readonly string[];
  readonly nondistributable: readonly string[];
}

async function readBuildkitd(paths: readonly string[], see: SeeTable): Promise<BuildkitdFile | undefined> {
  for (const path of paths) {
    const table = await readToml(path, see).catch(unlessForbidden);
    if (table !== undefined) return parseBuildkitdFile(table, path);
  }
  return undefined;
}

/** A daemon's file that only root may read is not this user's to follow. */
function unlessForbidden(error: { cause?: unknown }): undefined {
  if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'EACCES') return undefined;
  throw error;
}

/** `registry-mirrors`, `insecure-registries` and `allow-nondistributable-artifacts`. */
async function readDockerDaemon(paths: readonly string[]): Promise<DockerDaemon> {
  const mirrors: string[] = [];
  const insecure: string[] = [];
  const nondistributable: string[] = [];
  for (const path of paths) {
    const text = await readConfigText(path).catch(unlessForbidden);
    if (text === undefined || text.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw badFile(path, 'it is no JSON', cause);
    }
    mirrors.push(...list(value, 'registry-mirrors', path));
    insecure.push(...list(value, 'insecure-registries', path));
    nondistributable.push(...list(value, 'allow-nondistributable-artifacts', path));
  }
  return { mirrors: [...new Set(mirrors)], insecure: [...new Set(insecure)], nondistributable };
}

function list(value: unknown, key: string, path: string): readonly string[] {
  const items = (value as Record<string, unknown> | null)?.[key] ?? [];
  if (Array.isArray(items) && items.every((item): item is string => typeof item === 'string')) return items;
  throw badFile(path, `\`${key}\` is no list of texts`);
}
