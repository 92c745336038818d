import type { ContainerConfig, Healthcheck, HistoryEntry, ImageConfig } from './config.ts';
import type { JsonObject } from './decode-json.ts';
import { array, check, object, optional, record, strings, text } from './decode-json.ts';
import { parseDigest } from './digest.ts';

type Reader<T> = (value: unknown, where: string) => T;
type Readers<T> = { readonly [K in keyof T]-?: Reader<Exclude<T[K], undefined | null>> };

const words: Reader<readonly string[]> = (value, where) =>
  array(value, where, 100_000).map((item, at) => text(item, `${where}[${at}]`));
const empty: Reader<Record<string, never>> = (value, where) => {
  object(value, where);
  return {};
};
const emptyMap: Reader<Readonly<Record<string, Record<string, never>>>> = (value, where) =>
  record(value, where, (item, at) => (item === null ? {} : empty(item, at)));
const flag: Reader<boolean> = (value, where) => {
  check(typeof value === 'boolean', `${where} is neither true nor false`);
  return value;
};
/** Nanoseconds above 2^53 (104 days) lose digits, which no health check notices. */
const nanoseconds: Reader<number> = (value, where) => {
  check(typeof value === 'number' && Number.isFinite(value), `${where} is no number`);
  return value;
};

const healthcheck: Readers<Healthcheck> = {
  Test: words,
  Interval: nanoseconds,
  Timeout: nanoseconds,
  StartPeriod: nanoseconds,
  StartInterval: nanoseconds,
  Retries: nanoseconds,
};

const container: Readers<ContainerConfig> = {
  User: text,
  ExposedPorts: emptyMap,
  Env: words,
  Entrypoint: words,
  Cmd: words,
  Volumes: emptyMap,
  WorkingDir: text,
  Labels: strings,
  StopSignal: text,
  ArgsEscaped: flag,
  Healthcheck: (value, where) => fields<Healthcheck>(object(value, where), healthcheck),
  OnBuild: words,
  Shell: words,
};

const history: Readers<HistoryEntry> = {
  created: text,
  created_by: text,
  comment: text,
  author: text,
  empty_layer: flag,
};

/** Reads the object of an image config; see `decodeConfig`. */
export function decodeConfigObject(value: JsonObject): ImageConfig {
  const rootfs = object(value['rootfs'], 'rootfs');
  check(rootfs['type'] === 'layers', 'rootfs.type is not "layers"');
  const { os, architecture, ...rest } = fields<Omit<ImageConfig, 'rootfs'>>(value, {
    created: text,
    author: text,
    architecture: text,
    os: text,
    variant: text,
    'os.version': text,
    'os.features': words,
    config: (item, where) => fields<ContainerConfig>(object(item, where), container),
    history: (item, where) =>
      array(item, where, 10_000).map((entry, at) =>
        fields<HistoryEntry>(object(entry, `${where}[${at}]`), history),
      ),
  });
  check(typeof os === 'string' && typeof architecture === 'string', 'the config lacks os or architecture');
  const ids = optional(rootfs, 'diff_ids', (item, where) => array(item, where, 4096)) ?? [];
  return {
    ...rest,
    os,
    architecture,
    rootfs: { type: 'layers', diff_ids: ids.map((id) => parseDigest(id)) },
  };
}

/** Those keys of a type that are there, each read by its reader. */
function fields<T>(value: JsonObject, readers: Readers<T>): Partial<T> {
  const result: Record<string, unknown> = {};
  for (const [key, read] of Object.entries<Reader<unknown>>(readers)) {
    const item = optional(value, key, read);
    if (item !== undefined) result[key] = item;
  }
  return result as Partial<T>;
}
