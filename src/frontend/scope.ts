import type { Platform } from '../oci/platform.ts';
import { formatPlatform } from '../oci/platform.ts';
import type { ArgInstruction } from './instruction.ts';

/** Names and values in order; each name once. */
export type EnvList = readonly (readonly [name: string, value: string])[];

/** What PATH is where an image says nothing (L-ENV-2). */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** ARGs that may be given without being declared (L-ARG-7). */
export const proxyArgNames: readonly string[] = [
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'FTP_PROXY',
  'NO_PROXY',
  'ALL_PROXY',
].flatMap((name) => [name, name.toLowerCase()]);

/** ARGs that steer the builder (L-ARG-9). */
export const controlArgNames: readonly string[] = [
  'BUILDKIT_BUILD_NAME',
  'BUILDKIT_CACHE_MOUNT_NS',
  'BUILDKIT_CONTEXT_KEEP_GIT_DIR',
  'BUILDKIT_INLINE_CACHE',
  'BUILDKIT_MULTI_PLATFORM',
  'BUILDKIT_SANDBOX_HOSTNAME',
  'BUILDKIT_SYNTAX',
  'BUILDKIT_DOCKERFILE_CHECK',
  'BUILDKIT_SBOM_SCAN_CONTEXT',
  'BUILDKIT_SBOM_SCAN_STAGE',
  'SOURCE_DATE_EPOCH',
];

/** ARGs that no step sees, declared or not: they are about attestations (L-ARG-9). */
export const hiddenArgNames: ReadonlySet<string> = new Set([
  'BUILDKIT_SBOM_SCAN_CONTEXT',
  'BUILDKIT_SBOM_SCAN_STAGE',
]);

const parts = ['PLATFORM', 'OS', 'OSVERSION', 'ARCH', 'VARIANT'] as const;

/** The automatic global ARGs (L-ARG-8). */
export const platformArgNames: readonly string[] = [
  ...parts.map((part) => `TARGET${part}`),
  ...parts.map((part) => `BUILD${part}`),
  'TARGETSTAGE',
];

/** The automatic global ARGs with their values. */
export function platformArgs(about: {
  readonly platform: Platform;
  readonly buildPlatform: Platform;
  readonly target?: string | undefined;
}): EnvList {
  const of = (prefix: string, platform: Platform): EnvList => [
    [`${prefix}PLATFORM`, formatPlatform(platform)],
    [`${prefix}OS`, platform.os],
    [`${prefix}OSVERSION`, platform['os.version'] ?? ''],
    [`${prefix}ARCH`, platform.architecture],
    [`${prefix}VARIANT`, platform.variant ?? ''],
  ];
  return [
    ...of('BUILD', about.buildPlatform),
    ...of('TARGET', about.platform),
    ['TARGETSTAGE', about.target === undefined || about.target === '' ? 'default' : about.target],
  ];
}

/** The global scope: automatic ARGs, then the file's, each with the values before it in sight; --build-arg wins (L-ARG-1, L-ARG-8). */
export function globalScope(
  automatic: EnvList,
  globalArgs: readonly ArgInstruction[],
  how: {
    readonly buildArgs: Readonly<Record<string, string>>;
    readonly expand: (text: string, scope: EnvList, about: ArgInstruction) => string;
  },
): EnvList {
  let scope = automatic.map(
    ([name, value]) => [name, ownValue(how.buildArgs, name) ?? value] as const,
  ) as EnvList;
  for (const instruction of globalArgs) {
    for (const { name, value } of instruction.args) {
      const given = ownValue(how.buildArgs, name.text);
      if (given !== undefined) scope = setEnv(scope, name.text, given);
      else if (value !== undefined)
        scope = setEnv(scope, name.text, how.expand(value.text, scope, instruction));
    }
  }
  return scope;
}

/** A key of a record that came from outside; names like `constructor` are no keys. */
export function ownValue<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

export function getEnv(list: EnvList, name: string): string | undefined {
  return list.find(([known]) => known === name)?.[1];
}

/** With one value set: in the place that the name has, else at the end (L-ENV-1). */
export function setEnv(list: EnvList, name: string, value: string): EnvList {
  return list.some(([known]) => known === name)
    ? list.map((pair) => (pair[0] === name ? ([name, value] as const) : pair))
    : [...list, [name, value]];
}

/** As setEnv, for the strings of an image config that has each name once. */
export function setEnvString(strings: readonly string[], name: string, value: string): readonly string[] {
  const at = strings.findIndex((text) => text.startsWith(`${name}=`));
  const text = `${name}=${value}`;
  return at < 0 ? [...strings, text] : strings.with(at, text);
}

/** Reads `K=V` strings of an image config; a later one of the same name wins. */
export function readEnv(strings: readonly string[]): EnvList {
  const values = new Map<string, string>();
  for (const text of strings) {
    const equals = text.indexOf('=');
    values.set(equals < 0 ? text : text.slice(0, equals), equals < 0 ? '' : text.slice(equals + 1));
  }
  return [...values];
}

export function formatEnv(list: EnvList): readonly string[] {
  return list.map(([name, value]) => `${name}=${value}`);
}
