import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseReference } from '../oci/reference.ts';
import type { Reference } from '../oci/reference.ts';
import type { SeeTable, Table } from './toml.ts';
import { badFile, reader, readToml } from './toml.ts';

/** One `[[registry]]`. */
export interface RegistryRule {
  /** `host[:port][/path][:tag]`, or `*.host`. */
  readonly prefix: string;
  /** What takes the prefix's place; undefined: nothing does (`*.host` without a location). */
  readonly location: string | undefined;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrors: readonly MirrorRule[];
  /** The file. */
  readonly source: string;
}

export interface MirrorRule {
  readonly location: string;
  readonly insecure: boolean;
  /** `pull-from-mirror`; `mirror-by-digest-only` of the registry makes all of its mirrors `digest-only`. */
  readonly pull: 'all' | 'digest-only' | 'tag-only';
}

/** containers-registries.conf(5), version 2. */
export interface RegistriesConf {
  readonly rules: readonly RegistryRule[];
  /** Short name to full name. */
  readonly aliases: ReadonlyMap<string, { readonly name: Reference; readonly source: string }>;
}

export interface RegistriesConfPlaces {
  /** The first that exists counts. */
  readonly files: readonly string[];
  /** Directories of drop-ins: their `*.conf` in the order of their names replace what was said before, entry by entry. */
  readonly directories: readonly string[];
}

/** Reads all of it; files that are not there say nothing. Error: CONFIG_INVALID. */
export async function readRegistriesConf(
  places: RegistriesConfPlaces,
  see?: SeeTable,
): Promise<RegistriesConf> {
  const tables: { readonly table: Table; readonly source: string }[] = [];
  for (const path of places.files) {
    const table = await readToml(path, see);
    if (table === undefined) continue;
    tables.push({ table, source: path });
    break;
  }
  for (const directory of places.directories) {
    for (const name of await dropIns(directory)) {
      const source = join(directory, name);
      const table = await readToml(source, see);
      if (table !== undefined) tables.push({ table, source });
    }
  }
  return mergeRegistriesConf(tables);
}

/** Later tables replace rules of the same prefix and aliases of the same name. Error: CONFIG_INVALID. */
export function mergeRegistriesConf(
  tables: readonly { readonly table: Table; readonly source: string }[],
): RegistriesConf {
  const rules = new Map<string, RegistryRule>();
  const aliases = new Map<string, { readonly name: Reference; readonly source: string }>();
  for (const { table, source } of tables) {
    const read = reader(table, source);
    if (table['registries'] !== undefined) {
      throw badFile(source, 'it is of version 1', undefined);
    }
    for (const item of read.tables('registry')) {
      const rule = registryRule(item, source);
      rules.set(rule.prefix, rule);
    }
    const names = read.table('aliases') ?? {};
    for (const short of Object.keys(names)) {
      const full = reader(names, source).text(short) ?? '';
      // An empty value takes an alias of an earlier file back.
      if (full === '') aliases.delete(short);
      else aliases.set(short, { name: aliasTarget(short, full, source), source });
    }
  }
  return { rules: [...rules.values()], aliases };
}

function registryRule(table: Table, source: string): RegistryRule {
  const read = reader(table, source);
  const place = location(read.text('location'), source);
  const prefix = read.text('prefix') ?? '';
  const name = prefix === '' ? place : prefix.replace(/\/+$/, '');
  if (name === undefined) throw badFile(source, 'a [[registry]] has neither prefix nor location');
  const wildcard = name.startsWith('*.');
  if (!(wildcard ? /^\*\.[a-z0-9][\w.-]*(?::\d+)?$/i : placePattern).test(name))
    throw badFile(source, `\`${name.slice(0, 200)}\` is no prefix`);
  if (place === undefined && !wildcard) throw badFile(source, `the [[registry]] ${name} has no location`);
  const digestOnly = read.boolean('mirror-by-digest-only');
  const mirrors = read.tables('mirror').map((item): MirrorRule => {
    const mirror = reader(item, source);
    const where = location(mirror.text('location'), source);
    if (where === undefined) throw badFile(source, `a mirror of ${name} has no location`);
    const pull = mirror.text('pull-from-mirror') ?? '';
    if (!['', 'all', 'digest-only', 'tag-only'].includes(pull))
      throw badFile(source, `\`pull-from-mirror\` of ${where} is none of all, digest-only and tag-only`);
    if (digestOnly && pull !== '')
      throw badFile(source, `${name} has both mirror-by-digest-only and pull-from-mirror`);
    const usual = digestOnly ? 'digest-only' : 'all';
    return {
      location: where,
      insecure: mirror.boolean('insecure'),
      pull: pull === '' ? usual : (pull as MirrorRule['pull']),
    };
  });
  return {
    prefix: hostInLowerCase(name),
    location: place,
    insecure: read.boolean('insecure'),
    blocked: read.boolean('blocked'),
    mirrors,
    source,
  };
}

const placePattern = /^(?:[a-z0-9_][\w.-]*|\[[a-f0-9:]+\])(?::\d{1,5})?(?:\/[\w./:@-]*)?$/i;

function location(text: string | undefined, source: string): string | undefined {
  if (text === undefined || text === '') return undefined;
  const place = text.replace(/\/+$/, '');
  if (/^https?:\/\//i.test(place))
    throw badFile(source, `the location \`${text.slice(0, 200)}\` has a scheme: write host[:port][/path]`);
  if (!placePattern.test(place)) throw badFile(source, `\`${text.slice(0, 200)}\` is no location`);
  return hostInLowerCase(place);
}

function hostInLowerCase(place: string): string {
  const [host = '', ...path] = place.split('/');
  return [host.toLowerCase(), ...path].join('/');
}

function aliasTarget(short: string, full: string, source: string): Reference {
  let name: Reference;
  try {
    name = parseReference(full);
  } catch (cause) {
    throw badFile(source, `the alias of ${short.slice(0, 100)} is no image name`, cause);
  }
  const first = full.split('/')[0] ?? '';
  const complete = full.includes('/') && (/[.:]/.test(first) || first === 'localhost');
  if (!complete || name.digest !== undefined || /:[^/]*$/.test(full)) {
    throw badFile(source, `the alias of ${short.slice(0, 100)} is not of the form host/repository`);
  }
  return name;
}

/**
 * Where `prefix` ends in a full name (`host/path:tag@digest`), undefined when it does not begin with it. A prefix ends at a border; a
 * `*.host` takes any name below it, and none with a port that it does not name.
 */
export function matchPrefix(name: string, prefix: string): number | undefined {
  if (prefix.startsWith('*.')) {
    const host = name.split('/')[0] ?? '';
    return host.endsWith(prefix.slice(1)) && host.length > prefix.length - 1 ? host.length : undefined;
  }
  if (!name.startsWith(prefix)) return undefined;
  if (name.length === prefix.length) return prefix.length;
  const next = name[prefix.length] ?? '';
  // `host` is not `host:5000`.
  const borders = prefix.includes('/') ? ':/@' : '/';
  return borders.includes(next) ? prefix.length : undefined;
}

async function dropIns(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).filter((name) => name.endsWith('.conf')).toSorted();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw badFile(directory, `it cannot be read (${code ?? 'unknown error'})`, cause);
  }
}
