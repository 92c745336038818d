import { isIP } from 'node:net';
import { BuildError } from '../util/build-error.ts';
import { readByteSize } from '../util/byte-size.ts';
import { readSmallFileSync } from '../util/small-file.ts';
import { inWords } from '../util/system-error.ts';
import type {
  CreateIndexOptions,
  DescriptorAnnotation,
  RegistryCredential,
  SecretOption,
  SshOption,
  UlimitOption,
} from '../index.ts';
import { parseCsv, splitPair } from './csv.ts';
import { suggestion } from './nearest.ts';

/** Values of the build's flags, as `docker buildx build` reads them (spec/cli.md). All throw USAGE for what they cannot be. */

/** `--build-arg k=v`, or `k` for the value in the environment; a name that is not set there is left out (C-IN-8). */
export function parseBuildArgs(
  values: readonly string[],
  env: NodeJS.ProcessEnv,
): Readonly<Record<string, string>> {
  const entries: [string, string][] = [];
  for (const text of values) {
    const [key, value = env[key]] = splitPair(text);
    if (key === '')
      throw new BuildError('USAGE', `\`--build-arg ${text}\` has no name`, {
        hint: 'write --build-arg NAME=value',
      });
    if (value !== undefined) entries.push([key, value]);
  }
  return Object.fromEntries(entries);
}

const argFileLimit = 1024 * 1024;

/** `--build-arg-file`: lines as `--build-arg` takes them; `#` begins a comment where a line begins (C-IN-8). */
export function readBuildArgs(paths: readonly string[]): readonly string[] {
  return paths.flatMap((path) => {
    try {
      const lines = readSmallFileSync(path, argFileLimit).toString().split(/\r?\n/);
      return lines.map((line) => line.trimStart()).filter((line) => line !== '' && !line.startsWith('#'));
    } catch (error) {
      throw new BuildError('USAGE', `cannot read \`--build-arg-file ${path}\`: ${inWords(error)}`, {
        hint: 'it is a file with a line name=value for each ARG',
        cause: error,
      });
    }
  });
}

/** `--label k=v`; `k` alone has an empty value. */
export function parseLabels(values: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    values.map((text) => {
      const [key, value = ''] = splitPair(text);
      if (key === '')
        throw new BuildError('USAGE', `\`--label ${text}\` has no name`, {
          hint: 'write --label name=value',
        });
      return [key, value];
    }),
  );
}

const annotationType = /^(manifest|index|manifest-descriptor|index-descriptor)(?:\[[\w/.-]*\])?$/;

/** `--annotation [type[platform]:]k=v` (C-MD-3); this version writes manifests only. */
export function parseAnnotations(values: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    values.map((text) => {
      const { types, key, value } = splitAnnotation(text);
      const other = types.find((type) => !/^manifest(\[|$)/.test(type));
      if (other !== undefined) {
        throw new BuildError(
          'USAGE',
          `annotations of type \`${other}\` need an image index, and one platform has none`,
          {
            hint: `write --annotation ${key}=${value} for the manifest`,
          },
        );
      }
      return [key, value];
    }),
  );
}

function splitAnnotation(text: string): {
  readonly types: readonly string[];
  readonly key: string;
  readonly value: string;
} {
  const [left, value] = splitPair(text);
  const colon = left.indexOf(':');
  const types = colon === -1 ? [] : left.slice(0, colon).split(',');
  const typed = types.length > 0 && types.every((type) => annotationType.test(type));
  const key = typed ? left.slice(colon + 1) : left;
  if (key !== '' && value !== undefined) return { types: typed ? types : [], key, value };
  throw new BuildError('USAGE', `\`--annotation ${text}\` is not well formed`, {
    hint: 'write --annotation name=value',
  });
}

/** `--annotation [type[platform]:]k=v` of an index that is made of images: `index`, the default, and `manifest-descriptor`. */
export function parseIndexAnnotations(
  values: readonly string[],
): Pick<CreateIndexOptions, 'annotations' | 'descriptorAnnotations'> {
  const annotations = new Map<string, string>();
  const descriptorAnnotations: DescriptorAnnotation[] = [];
  for (const text of values) {
    const { types, key, value } = splitAnnotation(text);
    for (const type of types.length === 0 ? ['index'] : types) {
      const [, kind, platform] = /^([a-z-]+)(?:\[(.*)\])?$/.exec(type) ?? [];
      if (kind === 'index' && platform === undefined) annotations.set(key, value);
      else if (kind === 'manifest-descriptor') descriptorAnnotations.push({ platform, name: key, value });
      else {
        throw new BuildError(
          'USAGE',
          `\`--annotation ${text}\`: an index that is made of images has no \`${type}\``,
          {
            hint: 'index and manifest-descriptor are; what stands in an image itself is set when it is built',
          },
        );
      }
    }
  }
  return { annotations: Object.fromEntries(annotations), descriptorAnnotations };
}

/**
 * `--secret [type=file|env,]id=…[,src=…|,source=…][,env=…]` (C-SE-1). Without a type and a source the environment
 * variable named like the id wins, else the file of that name.
 */
export function parseSecret(text: string, env: NodeJS.ProcessEnv): SecretOption {
  const known = ['type', 'id', 'src', 'source', 'env'];
  const found: Record<string, string> = {};
  for (const field of parseCsv(text)) {
    const [name, value] = splitPair(field);
    const key = name.trim().toLowerCase();
    if (value === undefined || !known.includes(key)) {
      const hint =
        value === undefined
          ? 'write --secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE'
          : suggestion(key, known);
      throw new BuildError('USAGE', `\`${field}\` in \`--secret ${text}\` is not understood`, { hint });
    }
    found[key === 'source' ? 'src' : key] = value;
  }
  const { type, id, src, env: variable } = found;
  if (id === undefined || id === '')
    throw new BuildError('USAGE', `\`--secret ${text}\` has no id`, { hint: 'add id=NAME' });
  if (type !== undefined && type !== 'file' && type !== 'env') {
    throw new BuildError('USAGE', `\`${type}\` is no type of a secret`, {
      hint: suggestion(type, ['file', 'env']),
    });
  }
  if (variable !== undefined) return { id, env: variable };
  if (type === 'env') return { id, env: src ?? id };
  if (src !== undefined) return { id, file: src };
  return type === undefined && env[id] !== undefined ? { id, env: id } : { id, file: id };
}

/** `--ssh default|id[=socket|key[,key]]` (C-SE-2). */
export function parseSsh(text: string): SshOption {
  const [id, paths] = splitPair(text);
  if (id === '')
    throw new BuildError('USAGE', `\`--ssh ${text}\` has no id`, { hint: 'write --ssh default' });
  return { id, paths: paths === undefined || paths === '' ? [] : paths.split(',') };
}

/** `--build-context name=…` (C-IN-6). */
export function parseBuildContexts(values: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    values.map((text) => {
      const [name, value] = splitPair(text);
      if (name === '' || value === undefined || value === '') {
        throw new BuildError('USAGE', `\`--build-context ${text}\` is not well formed`, {
          hint: 'write --build-context name=directory',
        });
      }
      return [name, value];
    }),
  );
}

/** `--shm-size 64m`: bytes; units are powers of 1024 (C-EX-4). */
export function parseBytes(text: string): number {
  const bytes = readByteSize(text);
  if (bytes === undefined)
    throw new BuildError('USAGE', `\`${text}\` is no size`, { hint: 'write it like 64m or 1g' });
  return bytes;
}

const limits =
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(
    ' ',
  );

/** `--ulimit nofile=1024:2048`; -1 is unlimited, a missing hard limit is the soft one. */
export function parseUlimit(text: string): UlimitOption {
  const match = /^(\w+)=(-1|\d+)(?::(-1|\d+))?$/.exec(text);
  const name = match?.[1] ?? '';
  if (match === null || !limits.includes(name)) {
    const hint = match === null ? 'write it like nofile=1024:2048' : suggestion(name, limits);
    throw new BuildError('USAGE', `\`--ulimit ${text}\` is not understood`, { hint });
  }
  const soft = Number(match[2]);
  const hard = Number(match[3] ?? match[2]);
  if (hard !== -1 && (soft > hard || soft === -1)) {
    throw new BuildError('USAGE', `\`--ulimit ${text}\`: the soft limit is above the hard one`);
  }
  return { name, soft, hard };
}

/** `--add-host name:ip` or `name=ip`; checked here for its form only. */
export function parseAddHost(text: string): string {
  if (/^[^:=\s]+[:=]\S+$/.test(text)) return text;
  throw new BuildError('USAGE', `\`--add-host ${text}\` is not understood`, {
    hint: 'write it like name:10.0.0.1 or name:host-gateway',
  });
}

/** Seconds from 1970 to the end of the year 9999, which is what dates in images can say. `name` is the flag, for the message. */
export function parseEpoch(text: string, name: string): number {
  const value = parseWhole(text, name, 0);
  if (value <= 253_402_300_799) return value;
  throw new BuildError('USAGE', `\`${name}\` is after the year 9999: \`${text}\``);
}

/** A whole number of at least `least`. `name` is the flag, for the message. */
export function parseWhole(text: string, name: string, least: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least) return value;
  throw new BuildError('USAGE', `\`${name}\` must be a whole number of at least ${least}, not \`${text}\``);
}

/** `--timeout 1h30m`: milliseconds. A number alone is seconds. */
export function parseTimeout(text: string): number {
  const [whole, hours = 0, minutes = 0, seconds = 0] =
    /^(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,3})?)s?)?$/.exec(text) ?? [];
  const milliseconds = Math.round((Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000);
  if (whole !== undefined && milliseconds > 0) return milliseconds;
  throw new BuildError('USAGE', `\`--timeout ${text}\` is no duration`, {
    hint: 'write it like 90s, 15m or 1h30m',
  });
}

/** Of --network. */
export const networkModes = ['default', 'isolated', 'none', 'host'] as const;

/** One word of a list. `name` is the flag, for the message. */
export function parseChoice<T extends string>(text: string, name: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found !== undefined) return found;
  throw new BuildError('USAGE', `\`${text}\` is no value of \`${name}\``, {
    hint: suggestion(text, choices),
  });
}

const hostText = String.raw`(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[a-f0-9:]+\])(?::\d{1,5})?`;
const isHost = new RegExp(`^${hostText}$`, 'i');
const isMirror = new RegExp(`^(?:https?://)?${hostText}(?:/[^\\s=?#@]*)?$`, 'i');

/** A flag whose values are hosts: `host[:port]`, perhaps with its scheme; with `many` also `*` and networks such as `10.0.0.0/8`. */
export function hostsOf(
  flag: string,
  many: 'many' | 'one',
): (text: string, before?: readonly string[]) => readonly string[] {
  return (text, before = []) => {
    const name = text
      .toLowerCase()
      .replace(/^https?:\/\//, '')
      .replace(/\/$/, '');
    const [network = '', bits] = name.split('/');
    const isMany = name === '*' || (isIP(network) !== 0 && bits !== undefined && /^\d{1,3}$/.test(bits));
    if (isHost.test(name) || (many === 'many' && isMany))
      return [...before, text.toLowerCase().replace(/\/$/, '')];
    throw new BuildError('USAGE', `\`${flag} ${text}\` is no host`, {
      hint: `write ${flag} registry.example:5000, and the flag once more for each other one`,
    });
  };
}

/** `--registry-mirror HOST=MIRROR` added to those before; a bare MIRROR is one of docker.io. */
export function addMirror(
  text: string,
  before: Readonly<Record<string, readonly string[]>> = {},
): Readonly<Record<string, readonly string[]>> {
  const [left, right] = splitPair(text);
  const [host, mirror] = right === undefined ? ['docker.io', left] : [left, right];
  if (!isHost.test(host) || !isMirror.test(mirror)) {
    throw new BuildError('USAGE', `\`--registry-mirror ${text}\` is not understood`, {
      hint: 'write --registry-mirror docker.io=mirror.example:5000',
    });
  }
  return { ...before, [host]: [...(Object.hasOwn(before, host) ? (before[host] ?? []) : []), mirror] };
}

/**
 * `--creds [REGISTRY=]USER:PASSWORD` added to those before. What stands before `=` is a registry when it looks like one: a dot in it, or
 * `localhost`, perhaps a port; so a password may have any character. The key '' is for the registry of the image that the command names.
 */
export function addCredential(
  text: string,
  before: Readonly<Record<string, RegistryCredential>> = {},
): Readonly<Record<string, RegistryCredential>> {
  const found =
    /^(?:((?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)+|\[[a-f0-9:]+\])(?::\d{1,5})?)=)?([^:]+):(.+)$/is.exec(
      text,
    );
  const [, registry = '', username, password] = found ?? [];
  // The text itself is not shown: there is a password in it.
  if (username === undefined || password === undefined) {
    throw new BuildError('USAGE', '`--creds` is not understood', {
      hint: 'write --creds REGISTRY=USER:PASSWORD; `tsbuild login` keeps a password where nobody sees it',
    });
  }
  return { ...before, [registry.toLowerCase()]: { username, password } };
}
