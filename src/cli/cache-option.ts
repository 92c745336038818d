import type { CacheExport, CacheImport, CacheMountsExport, CacheMountsImport } from '../index.ts';
import { BuildError } from '../util/build-error.ts';
import { parseBoolean, parseCsv, splitPair } from './csv.ts';
import { suggestion } from './nearest.ts';
import { parseChoice, parseTimeout, parseWhole } from './values.ts';

/** How a key of the flag becomes one of the option. */
interface Key {
  readonly option: string;
  readonly read?: (value: string, key: string) => unknown;
  readonly needed?: true;
}
type Keys = Readonly<Record<string, Key>>;

const place = {
  gha: {
    url: { option: 'url' },
    url_v2: { option: 'url' },
    token: { option: 'token' },
    scope: { option: 'scope' },
    timeout: { option: 'timeout', read: parseTimeout },
  },
  s3: {
    bucket: { option: 'bucket' },
    region: { option: 'region' },
    prefix: { option: 'prefix' },
    blobs_prefix: { option: 'blobsPrefix' },
    manifests_prefix: { option: 'manifestsPrefix' },
    name: { option: 'name' },
    endpoint_url: { option: 'endpointUrl' },
    use_path_style: { option: 'usePathStyle', read: parseBoolean },
    access_key_id: { option: 'accessKeyId' },
    secret_access_key: { option: 'secretAccessKey' },
    session_token: { option: 'sessionToken' },
  },
} satisfies Readonly<Record<string, Keys>>;

const registry: Keys = {
  ref: { option: 'ref', needed: true },
  'registry.insecure': { option: 'insecure', read: parseBoolean },
};

const localImport: Keys = {
  src: { option: 'src', needed: true },
  tag: { option: 'tag' },
  digest: { option: 'digest' },
};

const importKeys: Readonly<Record<string, Keys>> = {
  registry,
  local: localImport,
  ...place,
};

const settings: Keys = {
  mode: { option: 'mode', read: (value) => parseChoice(value, 'mode', ['min', 'max'] as const) },
  compression: {
    option: 'compression',
    read: (value) => parseChoice(value, 'compression', ['gzip', 'zstd', 'uncompressed'] as const),
  },
  'compression-level': { option: 'compressionLevel', read: (value, key) => parseWhole(value, key, 0) },
  'force-compression': { option: 'forceCompression', read: parseBoolean },
  'image-manifest': { option: 'imageManifest', read: parseBoolean },
  'oci-mediatypes': { option: 'ociMediaTypes', read: parseBoolean },
  'ignore-error': { option: 'ignoreError', read: parseBoolean },
};

const localExport: Keys = {
  dest: { option: 'dest', needed: true },
  tag: { option: 'tag' },
  reset: { option: 'reset', read: parseBoolean },
};

const exportKeys: Readonly<Record<string, Keys>> = {
  inline: {},
  registry: { ...registry, ...settings },
  local: { ...localExport, ...settings },
  gha: { ...place.gha, ...settings },
  s3: { ...place.s3, ...settings },
};

/** Keys of BuildKit for what tsbuild does by itself, or does not need. */
const needless = [
  ...['touch_refresh', 'upload_parallelism', 'retry_mode', 'retry_max_attempts', 'disable_accept_encoding'],
  ...['repository', 'ghtoken', 'version'],
];

/** One `--cache-from`: `type=…,…`, or a reference (KB-2). Throws USAGE, UNSUPPORTED_HERE. */
export function parseCacheFrom(text: string): CacheImport {
  return parse('--cache-from', text, importKeys) as unknown as CacheImport;
}

/** One `--cache-to`. Throws USAGE, UNSUPPORTED_HERE. */
export function parseCacheTo(text: string): CacheExport {
  return parse('--cache-to', text, exportKeys) as unknown as CacheExport;
}

/** One `--cache-mounts-from`. Throws USAGE. */
export function parseCacheMountsFrom(text: string): CacheMountsImport {
  return parse('--cache-mounts-from', text, { registry, local: localImport }) as unknown as CacheMountsImport;
}

/** One `--cache-mounts-to`. Throws USAGE. */
export function parseCacheMountsTo(text: string): CacheMountsExport {
  return parse('--cache-mounts-to', text, { registry, local: localExport }) as unknown as CacheMountsExport;
}

function parse(
  flag: string,
  text: string,
  types: Readonly<Record<string, Keys>>,
): Readonly<Record<string, unknown>> {
  const fields = parseCsv(text).map(splitPair);
  if (fields.every(([, value]) => value === undefined) && fields.length === 1)
    return { type: 'registry', ref: text };
  const found = fields.map(([key, value]) => [key.trim().toLowerCase(), value] as const);
  const type = found.find(([key]) => key === 'type')?.[1];
  if (type === undefined) {
    throw new BuildError('USAGE', `\`${flag} ${text}\` has no type`, {
      hint: `add type=; known are ${Object.keys(types).join(', ')}`,
    });
  }
  if (type === 'azblob') {
    throw new BuildError('UNSUPPORTED_HERE', 'caches of type=azblob are not in this version', {
      hint: 'use type=registry, local, gha or s3',
    });
  }
  const keys = Object.hasOwn(types, type) ? types[type] : undefined;
  if (keys === undefined) {
    throw new BuildError('USAGE', `\`${type}\` in \`${flag} ${text}\` is no type of a cache`, {
      hint: suggestion(type, Object.keys(types)),
    });
  }
  const option: Record<string, unknown> = { type };
  for (const [name, value] of found) {
    if (name === 'type' || needless.includes(name)) continue;
    const key = Object.hasOwn(keys, name) ? keys[name] : undefined;
    if (key === undefined || value === undefined) {
      throw new BuildError('USAGE', `\`${name}\` in \`${flag} ${text}\` is no key of type=${type}`, {
        hint: suggestion(name, Object.keys(keys)),
      });
    }
    option[key.option] = key.read === undefined ? value : key.read(value, name);
  }
  for (const [name, key] of Object.entries(keys)) {
    if (key.needed === true && (option[key.option] ?? '') === '')
      throw new BuildError('USAGE', `\`${flag} ${text}\` needs ${name}=…`);
  }
  return option;
}
