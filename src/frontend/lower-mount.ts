import type { CacheSharing, ExecMount } from '../graph/op.ts';
import type { MountSpec, MountType, RunInstruction } from './instruction.ts';
import type { Expander, Step } from './lowering.ts';
import { faultAt } from './lowering.ts';
import { mountFaults, mountType, unknownType } from './parse-mount.ts';
import { absolutePath } from './paths.ts';
import { ownValue } from './scope.ts';
import type { StageState } from './state.ts';
import { didYouMean } from '../util/suggest.ts';
import { unreachable } from './unreachable.ts';

const sharings: readonly CacheSharing[] = ['shared', 'private', 'locked'];
/** As the kernel has it for users of a file: -1 means nobody, and Docker's ids end here too. */
const MAX_ID = 2 ** 31 - 1;

interface MountContext {
  readonly step: Step;
  readonly state: StageState;
  readonly expand: Expander;
  readonly input: number | undefined;
  /** How many ssh mounts stand before this one. */
  readonly agents: number;
}

/** A mount's type, its variables expanded. Throws for a type that there is not, and for keys that are not for it. */
export function typeOfMount(spec: MountSpec, instruction: RunInstruction, expand: Expander): MountType {
  if (spec.type !== undefined) return spec.type;
  const option = spec.options.findLast(({ key }) => key === 'type');
  const text = option === undefined ? '' : expand.word({ text: option.value ?? '', range: option.range });
  const type = mountType(text);
  const [fault] =
    type === undefined ? [unknownType(text, option?.range)] : [...mountFaults(type, spec.options)];
  if (type === undefined || fault !== undefined)
    throw faultAt(instruction, fault?.message ?? '', {
      range: fault?.range ?? spec.range,
      hint: fault?.hint,
    });
  return type;
}

/** One mount as the step gets it (L-MNT-1 to L-MNT-5). */
export function lowerMount(spec: MountSpec, type: MountType, context: MountContext): ExecMount {
  const read = mountReader(spec, context);
  const { input } = context;
  const target = read.path('target');
  switch (type) {
    case 'bind':
      return {
        type: 'bind',
        target: target ?? '/',
        input,
        source: read.path('source', '/') ?? '/',
        readonly: !read.writable(false),
      };
    case 'cache': {
      const space = ownValue(context.step.lowering.options.buildArgs, 'BUILDKIT_CACHE_MOUNT_NS') ?? '';
      return {
        type: 'cache',
        target: target ?? '/',
        id: `${space}/${read.text('id') ?? target ?? '/'}`,
        sharing: read.sharing(),
        readonly: !read.writable(true),
        input,
        source: read.path('source', '/') ?? '/',
        mode: read.mode(0o755),
        uid: read.id('uid'),
        gid: read.id('gid'),
      };
    }
    case 'tmpfs': {
      const size = read.size();
      return {
        type: 'tmpfs',
        target: target ?? '/',
        ...(size === undefined ? {} : { size }),
        ...(read.writable(true) ? {} : { readonly: true }),
      };
    }
    case 'secret': {
      const id = read.text('id') ?? read.text('source') ?? target?.split('/').at(-1) ?? '';
      if (id === '' || id.includes('\0')) throw read.fault('a secret mount needs an id', 'add id=<name>');
      const env = read.variable();
      const place =
        target ?? (env === undefined ? absolutePath(id.split('/').at(-1) ?? id, '/run/secrets') : undefined);
      return {
        type: 'secret',
        id,
        ...(place === undefined ? {} : { target: place }),
        ...(env === undefined ? {} : { env }),
        required: read.flag('required') ?? false,
        mode: read.mode(0o400),
        uid: read.id('uid'),
        gid: read.id('gid'),
      };
    }
    case 'ssh':
      return {
        type: 'ssh',
        id: read.text('id') ?? 'default',
        target: target ?? `/run/buildkit/ssh_agent.${context.agents}`,
        required: read.flag('required') ?? false,
        mode: read.mode(0o600),
        uid: read.id('uid'),
        gid: read.id('gid'),
      };
    default:
      return unreachable(type);
  }
}

/** Keys that count as absent when their variables leave nothing of them. */
const mayBeEmpty: readonly string[] = ['id', 'source', 'from'];

/** Reads a mount's options, expanded; the last of several with one key counts. */
function mountReader(
  spec: MountSpec,
  { step, state, expand }: MountContext,
): {
  readonly text: (key: string) => string | undefined;
  readonly path: (key: string, directory?: string) => string | undefined;
  readonly flag: (key: string) => boolean | undefined;
  readonly writable: (byDefault: boolean) => boolean;
  readonly mode: (byDefault: number) => number;
  readonly id: (key: 'uid' | 'gid') => number;
  readonly size: () => number | undefined;
  readonly sharing: () => CacheSharing;
  readonly variable: () => string | undefined;
  readonly fault: (message: string, hint?: string) => Error;
} {
  const find = (key: string): MountSpec['options'][number] | undefined =>
    spec.options.findLast((option) => option.key === key);
  const fail = (message: string, key?: string, hint?: string): Error =>
    faultAt(step.instruction, message, {
      range: (key === undefined ? undefined : find(key)?.range) ?? spec.range,
      hint,
    });
  const text = (key: string): string | undefined => {
    const option = find(key);
    if (option === undefined) return undefined;
    const value = expand.word({ text: option.value ?? '', range: option.range });
    if (value !== '') return value;
    if (mayBeEmpty.includes(key)) return undefined;
    throw fail(`\`${option.written}\` of a mount is empty`, key);
  };
  const flag = (key: string): boolean | undefined => {
    const option = find(key);
    if (option === undefined) return undefined;
    const value = option.value === undefined ? 'true' : (text(key) ?? '');
    if (/^(1|t|T|true|True|TRUE)$/.test(value)) return true;
    if (/^(0|f|F|false|False|FALSE)$/.test(value)) return false;
    throw fail(`\`${option.written}\` of a mount is either true or false, not \`${value}\``, key);
  };
  return {
    text,
    flag,
    path: (key, directory) => {
      const value = text(key);
      if (value === undefined) return undefined;
      if (value.includes('\0')) throw fail(`\`${key}\` of a mount has a NUL character`, key);
      const path = absolutePath(value, directory ?? state.config.WorkingDir ?? '/');
      if (key === 'target' && path === '/') throw fail('a mount cannot have `/` as its target', key);
      return path;
    },
    writable: (byDefault) => {
      const last = spec.options.findLast(({ key }) => key === 'readonly' || key === 'readwrite');
      if (last === undefined) return byDefault;
      return last.key === 'readwrite' ? (flag('readwrite') ?? true) : !(flag('readonly') ?? true);
    },
    mode: (byDefault) => {
      const value = text('mode');
      if (value === undefined) return byDefault;
      if (/^[0-7]{1,5}$/.test(value) && Number.parseInt(value, 8) <= 0o7777) return Number.parseInt(value, 8);
      throw fail(`\`${value}\` is no mode`, 'mode', 'write it in octal, like 0400');
    },
    id: (key) => {
      const value = text(key) ?? '0';
      if (/^\d{1,10}$/.test(value) && Number(value) <= MAX_ID) return Number(value);
      throw fail(
        `\`${key}\` of a mount is \`${value}\`, which is no number up to ${MAX_ID}`,
        key,
        'names of users and groups are not looked up here: write the number',
      );
    },
    size: () => {
      const value = text('size');
      if (value === undefined) return undefined;
      const match = /^(\d{1,12}(?:\.\d{1,9})?) ?([kmgtp]?)i?b?$/i.exec(value);
      const bytes = Number(match?.[1]) * 1024 ** 'bkmgtp'.indexOf(match?.[2]?.toLowerCase() || 'b');
      if (match !== null && Number.isSafeInteger(Math.floor(bytes))) return Math.floor(bytes);
      throw fail(`\`${value}\` is no size`, 'size', 'write bytes, or a number with k, m or g');
    },
    sharing: () => {
      const value = text('sharing') ?? 'shared';
      const found = sharings.find((sharing) => sharing === value.toLowerCase());
      if (found !== undefined) return found;
      const hint = didYouMean(value, sharings) ?? 'it is shared, private or locked';
      throw fail(`\`sharing\` cannot be \`${value}\``, 'sharing', hint);
    },
    variable: () => {
      const value = text('env');
      if (value === undefined || !/[=\0]/.test(value)) return value;
      const name = value.slice(0, value.search(/[=\0]/));
      throw fail(
        `\`${value}\` cannot be the name of a variable`,
        'env',
        `write env=${name === '' ? '<name>' : name}: its value is that of the secret, which id=<name> says`,
      );
    },
    fault: (message, hint) => fail(message, undefined, hint),
  };
}
