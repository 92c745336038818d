import type { CacheSharing, ExecMount, ExecOp } from '../graph/op.ts';
import type { Digest } from '../oci/digest.ts';
import { heredocContent, summarizeHeredoc } from './heredoc.ts';
import type { MountSpec, RunInstruction } from './instruction.ts';
import { argsOf, shellOf } from './lower-config.ts';
import { inputOf } from './lower-inputs.ts';
import type { Expander, Step } from './lowering.ts';
import { expanderFor, faultAt, locate, titleOf } from './lowering.ts';
import { absolutePath } from './paths.ts';
import { defaultPath, formatEnv, getEnv, ownValue, setEnv } from './scope.ts';
import type { StageState } from './state.ts';
import { withHistory } from './state.ts';
import { unreachable } from './unreachable.ts';

/** RUN: one exec vertex (L-RUN, L-MNT, L-HD-2, L-HD-3). */
export async function lowerRun(
  state: StageState,
  instruction: RunInstruction,
  step: Step,
): Promise<StageState> {
  const { lowering } = step;
  const { args, files, title } = commandOf(state, instruction);
  const inputs: Digest[] = state.vertex === undefined ? [] : [state.vertex];
  const expand = expanderFor(step, state);
  const mounts: ExecMount[] = [];
  for (const spec of instruction.mounts) {
    const from = spec.options.findLast((option) => option.key === 'from');
    const wantsInput = spec.type === 'bind' || (spec.type === 'cache' && from !== undefined);
    let input: number | undefined;
    if (wantsInput) {
      const digest =
        from === undefined
          ? lowering.context()
          : await inputOf({ text: from.value ?? '', range: from.range }, step, state.platform);
      input = digest === undefined ? undefined : addInput(inputs, digest);
    }
    const agents = mounts.filter((mount) => mount.type === 'ssh').length;
    mounts.push(lowerMount(spec, { step, state, expand, input, agents }));
  }
  const env = getEnv(state.env, 'PATH') === undefined ? setEnv(state.env, 'PATH', defaultPath) : state.env;
  const op: ExecOp = {
    kind: 'exec',
    base: state.vertex === undefined ? undefined : 0,
    args,
    env: formatEnv(env),
    cwd: absolutePath(state.config.WorkingDir ?? '/', '/'),
    user: state.config.User ?? '',
    mounts,
    network: instruction.network ?? lowering.options.network ?? 'default',
    security: instruction.security,
    hostname:
      lowering.options.hostname ??
      ownValue(lowering.options.buildArgs, 'BUILDKIT_SANDBOX_HOSTNAME') ??
      'buildkitsandbox',
    platform: state.platform,
    files,
  };
  const vertex = lowering.vertices.add(op, inputs, {
    name: step.nameOf(title),
    source: locate(instruction),
    rank: step.stage.index,
    ...(step.ignoreCache ? { ignoreCache: true } : {}),
  });
  return withHistory(state, `RUN ${historyArgs(state)}${args.join(' ')} # buildkit`, vertex);
}

/** `|2 a=1 b=2 ` for the ARGs in scope, with the values that the step sees (L-ARG-4). */
function historyArgs(state: StageState): string {
  if (state.args.length === 0) return '';
  const pairs = state.args.map(([name, value]) => `${name}=${getEnv(state.env, name) ?? value ?? ''}`);
  return `|${pairs.length} ${pairs.join(' ')} `;
}

function commandOf(
  state: StageState,
  instruction: RunInstruction,
): { args: readonly string[]; files: ExecOp['files']; title: string } {
  const { command, heredocs } = instruction;
  const title = titleOf(instruction);
  const [first] = heredocs;
  if (first === undefined || command.form === 'exec')
    return { args: argsOf(command, state.config), files: [], title };
  if (command.text === first.word.text) {
    const content = heredocContent(first);
    const titled = `${title} ${summarizeHeredoc(content)}`;
    if (!content.startsWith('#!'))
      return { args: [...shellOf(state.config), content], files: [], title: titled };
    if (/[/\0]/.test(first.name) || first.name === '.' || first.name === '..') {
      throw faultAt(instruction, `\`${first.name}\` cannot be a file name`, { range: first.word.range });
    }
    const path = `/dev/pipes/${first.name}`;
    // Through the shell, as BuildKit has it.
    const args = [...shellOf(state.config), path];
    return { args, files: [{ path, content, mode: 0o755 }], title: titled };
  }
  // The shell reads the heredocs itself, so it gets them as they were written; tabs before the last line go, as with BuildKit.
  const text = heredocs.reduce((before, { body, name }) => `${before}\n${body}${name}`, command.text);
  return { args: [...shellOf(state.config), text], files: [], title };
}

function addInput(inputs: Digest[], digest: Digest): number {
  const known = inputs.indexOf(digest);
  return known >= 0 ? known : inputs.push(digest) - 1;
}

interface MountContext {
  readonly step: Step;
  readonly state: StageState;
  readonly expand: Expander;
  readonly input: number | undefined;
  /** How many ssh mounts stand before this one. */
  readonly agents: number;
}

function lowerMount(spec: MountSpec, context: MountContext): ExecMount {
  const read = mountReader(spec, context);
  const { input } = context;
  const target = read.path('target');
  switch (spec.type) {
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
      const id = read.text('id') ?? target ?? '/';
      return {
        type: 'cache',
        target: target ?? '/',
        id: space === '' ? id : `${space}/${id.replace(/^\/+/, '')}`,
        sharing: read.sharing(),
        readonly: !read.writable(true),
        input,
        source: read.path('source', '/') ?? '/',
        mode: read.mode(0o755),
        uid: read.text('uid') ?? '0',
        gid: read.text('gid') ?? '0',
      };
    }
    case 'tmpfs': {
      const size = read.size();
      return { type: 'tmpfs', target: target ?? '/', ...(size === undefined ? {} : { size }) };
    }
    case 'secret': {
      const id = read.text('id') ?? read.text('source') ?? target?.split('/').at(-1) ?? '';
      if (id === '' || id.includes('\0')) throw read.fault('a secret mount needs an id', 'add id=<name>');
      const env = read.text('env');
      const place =
        target ?? (env === undefined ? absolutePath(id.split('/').at(-1) ?? id, '/run/secrets') : undefined);
      return {
        type: 'secret',
        id,
        ...(place === undefined ? {} : { target: place }),
        ...(env === undefined ? {} : { env }),
        required: read.flag('required') ?? false,
        mode: read.mode(0o400),
        uid: read.text('uid') ?? '0',
        gid: read.text('gid') ?? '0',
      };
    }
    case 'ssh':
      return {
        type: 'ssh',
        id: read.text('id') ?? 'default',
        target: target ?? `/run/buildkit/ssh_agent.${context.agents}`,
        required: read.flag('required') ?? false,
        mode: read.mode(0o600),
        uid: read.text('uid') ?? '0',
        gid: read.text('gid') ?? '0',
      };
    default:
      return unreachable(spec.type);
  }
}

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
  readonly size: () => number | undefined;
  readonly sharing: () => CacheSharing;
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
    if (value === '') throw fail(`\`${key}\` of a mount is empty`, key);
    return value;
  };
  const flag = (key: string): boolean | undefined => {
    const option = find(key);
    if (option === undefined) return undefined;
    const value = option.value === undefined ? 'true' : text(key)?.toLowerCase();
    if (['true', '1', 't'].includes(value ?? '')) return true;
    if (['false', '0', 'f'].includes(value ?? '')) return false;
    throw fail(`\`${key}\` of a mount is either true or false`, key);
  };
  return {
    text,
    flag,
    path: (key, directory) => {
      const value = text(key);
      if (value === undefined) return undefined;
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
    size: () => {
      const value = text('size');
      if (value === undefined) return undefined;
      const match = /^(\d{1,12})([kmgt]?)i?b?$/i.exec(value);
      const bytes = Number(match?.[1]) * 1024 ** 'bkmgt'.indexOf(match?.[2]?.toLowerCase() || 'b');
      if (match !== null && Number.isSafeInteger(bytes)) return bytes;
      throw fail(`\`${value}\` is no size`, 'size', 'write bytes, or a number with k, m or g');
    },
    sharing: () => {
      const value = text('sharing') ?? 'shared';
      if (value === 'shared' || value === 'private' || value === 'locked') return value;
      throw fail(`\`sharing\` cannot be \`${value}\``, 'sharing', 'it is shared, private or locked');
    },
    fault: (message, hint) => fail(message, undefined, hint),
  };
}
