import type { Command } from 'commander';
import { Option } from 'commander';
import { BuildError } from '../util/build-error.ts';
import type { ResourceLimits } from '../index.ts';
import { listOption } from './options.ts';
import { parseBytes, parseWhole } from './values.ts';

/** What RUN steps may use of the machine (C-EX-3): each as a flag of its own, or as a key of `--resource`. */
export interface LimitFlags {
  readonly memory?: string | undefined;
  readonly memorySwap?: string | undefined;
  readonly cpus?: string | undefined;
  readonly cpuShares?: string | undefined;
  readonly cpuPeriod?: string | undefined;
  readonly cpuQuota?: string | undefined;
  readonly cpusetCpus?: string | undefined;
  readonly cpusetMems?: string | undefined;
  /** Many, each with many `key=value`. */
  readonly resource?: readonly string[] | undefined;
}

type Key = keyof ResourceLimits;

const parsers: { readonly [K in Key]-?: (text: string, flag: string) => NonNullable<ResourceLimits[K]> } = {
  memory: parseMemory,
  memorySwap: (text) => (text === '-1' ? -1 : parseBytes(text)),
  cpus: parseCpus,
  cpuShares: (text, flag) => parseWhole(text, flag, 2),
  cpuPeriod: (text, flag) => parseWhole(text, flag, 1000),
  cpuQuota: (text, flag) => (text === '-1' ? -1 : parseWhole(text, flag, 1000)),
  cpusetCpus: parseList,
  cpusetMems: parseList,
};

export function addLimitFlags(command: Command): Command {
  const hidden = ['--memory-swap <bytes>', '-c, --cpu-shares <n>', '--cpu-period <us>', '--cpu-quota <us>'];
  command
    .option('-m, --memory <bytes>', 'memory that a RUN step may use, such as 512m')
    .option('--cpus <n>', 'processors that a RUN step may use, such as 1.5');
  for (const flags of [...hidden, '--cpuset-cpus <list>', '--cpuset-mems <list>'])
    command.addOption(new Option(flags).hideHelp());
  return command.addOption(listOption('--resource <key=value>', '').hideHelp());
}

/** Throws USAGE. */
export function limitOptions(flags: LimitFlags): ResourceLimits | undefined {
  const given = new Map<Key, string>();
  for (const text of flags.resource ?? []) {
    for (const pair of text.split(',')) {
      const [name = '', value] = pair.split(/=(.*)/s);
      const key = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
      if (value === undefined || !Object.hasOwn(parsers, key))
        throw new BuildError('USAGE', `\`--resource ${text}\` is not understood`, {
          hint: `write it like memory=512m,cpus=1.5; keys are ${Object.keys(parsers).map(flagName).join(', ')}`,
        });
      given.set(key as Key, value);
    }
  }
  for (const key of Object.keys(parsers) as Key[]) {
    const value = flags[key];
    if (value !== undefined) given.set(key, value);
  }
  if (given.size === 0) return undefined;
  return Object.fromEntries([...given].map(([key, text]) => [key, parsers[key](text, `--${flagName(key)}`)]));
}

function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function parseCpus(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= 0.01) return value;
  throw new BuildError('USAGE', `\`--cpus ${text}\` must be a number of at least 0.01`);
}

function parseList(text: string, flag: string): string {
  if (/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text)) return text;
  throw new BuildError('USAGE', `\`${flag} ${text}\` is no list`, { hint: 'write it like 0-2,4' });
}

/** Docker's least: with less no program starts. */
const leastMemory = 6 << 20;

function parseMemory(text: string, flag: string): number {
  const value = parseBytes(text);
  if (value >= leastMemory) return value;
  throw new BuildError('USAGE', `\`${flag} ${text}\` is less than 6m, with which nothing runs`, {
    hint: /^\d+$/.test(text) ? `a number alone is bytes: write ${text}m or ${text}g` : undefined,
  });
}
