import { dirname, resolve } from 'node:path';
import { redactUrl } from '../util/redact.ts';
import type { SeeTable, Table } from './toml.ts';
import { badFile, checkHeader, isTable, reader, readToml } from './toml.ts';

export type Capability = 'pull' | 'resolve' | 'push';

/** One host of a hosts.toml. */
export interface HostSettings {
  /** `http` or `https`, host, port and perhaps a path. */
  readonly url: string;
  readonly capabilities: readonly Capability[];
  /** Paths of PEM files. */
  readonly ca: readonly string[];
  readonly clients: readonly { readonly cert: string; readonly key: string }[];
  readonly skipVerify: boolean;
  /** The URL's path is the API's root already. */
  readonly overridePath: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

/** containerd's `certs.d/<host>/hosts.toml`. */
export interface HostsFile {
  readonly source: string;
  /** What stands for the registry itself; undefined: it does so itself. */
  readonly server: HostSettings | undefined;
  /** In the file's order. */
  readonly hosts: readonly HostSettings[];
}

/**
 * Reads one hosts.toml (containerd, docs/hosts.md). A host without `capabilities` may be pulled from and resolve tags; other than with
 * containerd it must name `push` to be written to, since a mirror that swallows pushes is hardly ever meant. undefined: no such file.
 * Error: CONFIG_INVALID.
 */
export async function readHostsFile(
  path: string,
  registry: string,
  see?: SeeTable,
): Promise<HostsFile | undefined> {
  const table = await readToml(path, see);
  return table === undefined ? undefined : parseHostsFile(table, { path, registry });
}

/** `registry` is what `server` stands for when the file does not name one, but says how it is spoken to. */
export function parseHostsFile(
  table: Table,
  { path, registry }: { readonly path: string; readonly registry: string },
): HostsFile {
  const top = reader(table, path);
  const hosts = Object.entries(top.table('host') ?? {}).map(([url, value]) => {
    if (!isTable(value)) throw badFile(path, `host."${url}" is no table`);
    return hostSettings(url, value, path, ['pull', 'resolve']);
  });
  const named = top.text('server');
  const says = ['capabilities', 'ca', 'client', 'skip_verify', 'override_path', 'header'].some(
    (key) => table[key] !== undefined,
  );
  const own = registry === 'docker.io' ? 'https://registry-1.docker.io' : `https://${registry}`;
  const server = named === undefined || named === '' ? (says ? own : undefined) : named;
  return {
    source: path,
    server: server === undefined ? undefined : hostSettings(server, table, path, ['pull', 'resolve', 'push']),
    hosts,
  };
}

// oxlint-disable-next-line max-params -- internal
function hostSettings(text: string, table: Table, path: string, usual: readonly Capability[]): HostSettings {
  const read = reader(table, path);
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`);
  if (
    url === null ||
    !/^https?:$/.test(url.protocol) ||
    url.username !== '' ||
    url.password !== '' ||
    url.search !== '' ||
    url.hash !== ''
  ) {
    throw badFile(path, `\`${redactUrl(text)}\` is no address of a registry`);
  }
  const capabilities = read.texts('capabilities') ?? usual;
  for (const name of capabilities) {
    if (name !== 'pull' && name !== 'resolve' && name !== 'push')
      throw badFile(path, `\`${name}\` is no capability: pull, resolve and push are`);
  }
  const from = (file: string): string => resolve(dirname(path), file);
  return {
    url: url.href,
    capabilities: capabilities as readonly Capability[],
    ca: (read.texts('ca') ?? []).map(from),
    clients: clients(table['client'], path).map(([cert, key]) => ({ cert: from(cert), key: from(key) })),
    skipVerify: read.boolean('skip_verify'),
    overridePath: read.boolean('override_path'),
    headers: headers(read.table('header') ?? {}, path),
  };
}

/** `"both.pem"`, `["a.pem", "b.pem"]`, or pairs: `[["client.cert", "client.key"]]`. */
function clients(value: unknown, path: string): readonly (readonly [string, string])[] {
  if (value === undefined) return [];
  return (Array.isArray(value) ? (value as unknown[]) : [value]).map((item) => {
    const pair: unknown[] = Array.isArray(item) ? item : [item];
    const [cert, key = cert] = pair;
    if (pair.length > 2 || typeof cert !== 'string' || typeof key !== 'string')
      throw badFile(path, '`client` is neither a file nor a list of files or pairs');
    return [cert, key === '' ? cert : key] as const;
  });
}

function headers(table: Table, path: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.keys(table).map((name) => {
      const values = reader(table, path).texts(name) ?? [];
      checkHeader(name, values, (why) => badFile(path, why));
      return [name.toLowerCase(), values.join(', ')];
    }),
  );
}
