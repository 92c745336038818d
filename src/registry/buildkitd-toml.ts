import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { registryName } from './endpoints.ts';
import type { Table } from './toml.ts';
import { badFile, isTable, reader } from './toml.ts';

/** One `[registry."host"]`: what is read instead of a registry, and how this host is spoken to, also where it is another's mirror. */
export interface BuildkitdRegistry {
  /** `[http[s]://]host[:port][/prefix]`, in the file's order. */
  readonly mirrors: readonly string[];
  /** undefined: not said; a loopback host may be plain all the same. */
  readonly http: boolean | undefined;
  /** The certificate is not checked; with `http` as well it may be plain too. */
  readonly insecure: boolean;
  /** Paths of PEM files. */
  readonly ca: readonly string[];
  readonly clients: readonly { readonly cert: string; readonly key: string }[];
}

/** The registries of a buildkitd.toml, by name. */
export type BuildkitdFile = ReadonlyMap<string, BuildkitdRegistry>;

const mirrorPattern = /^(?:https?:\/\/)?(?:[a-z0-9_][\w.-]*|\[[a-f0-9:]+\])(?::\d{1,5})?(?:\/[\w./-]*)?$/i;

/** Reads what BuildKit's file says of registries; all else in it is the daemon's own. Error: CONFIG_INVALID. */
export async function parseBuildkitdFile(table: Table, source: string): Promise<BuildkitdFile> {
  const registries = new Map<string, BuildkitdRegistry>();
  for (const [host, value] of Object.entries(reader(table, source).table('registry') ?? {})) {
    if (!isTable(value)) throw badFile(source, `registry."${host.slice(0, 200)}" is no table`);
    registries.set(registryName(host), await buildkitdRegistry(value, source));
  }
  return registries;
}

async function buildkitdRegistry(table: Table, source: string): Promise<BuildkitdRegistry> {
  const read = reader(table, source);
  const from = (file: string): string => resolve(dirname(source), file);
  const mirrors = read.texts('mirrors') ?? [];
  for (const mirror of mirrors) {
    if (!mirrorPattern.test(mirror)) throw badFile(source, `\`${mirror.slice(0, 200)}\` is no mirror`);
  }
  const pairs = read.tables('keypair').map((item) => {
    const pair = reader(item, source);
    const [cert, key] = [pair.text('cert'), pair.text('key')];
    if (cert === undefined || key === undefined)
      throw badFile(source, 'a `keypair` has not both cert and key');
    return { cert: from(cert), key: from(key) };
  });
  const folders = (read.texts('tlsconfigdir') ?? []).map(from);
  const files = (await Promise.all(folders.map((folder) => filesOf(folder, source)))).flat();
  return {
    mirrors,
    http: table['http'] === undefined ? undefined : read.boolean('http'),
    insecure: read.boolean('insecure'),
    ca: [...(read.texts('ca') ?? []).map(from), ...files.filter((file) => file.endsWith('.crt'))],
    clients: [
      ...pairs,
      ...files
        .filter((file) => file.endsWith('.cert'))
        .map((cert) => ({ cert, key: cert.replace(/\.cert$/, '.key') })),
    ],
  };
}

async function filesOf(folder: string, source: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).toSorted().map((name) => join(folder, name));
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
    throw badFile(source, `its \`tlsconfigdir\` ${folder} cannot be read (${code})`, cause);
  }
}
