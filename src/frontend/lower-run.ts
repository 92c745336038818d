import type { ExecMount, ExecOp } from '../graph/op.ts';
import { heredocContent, summarizeHeredoc } from './heredoc.ts';
import type { RunInstruction } from './instruction.ts';
import { argsOf, shellOf } from './lower-config.ts';
import { inputOf } from './lower-inputs.ts';
import { lowerMount, typeOfMount } from './lower-mount.ts';
import type { Step } from './lowering.ts';
import { expanderFor, faultAt, metaOf, titleOf } from './lowering.ts';
import { absolutePath } from './paths.ts';
import type { EnvList } from './scope.ts';
import { defaultPath, formatEnv, getEnv, ownValue, setEnv } from './scope.ts';
import type { StageState } from './state.ts';
import { withHistory } from './state.ts';
import { StepInputs } from './step-inputs.ts';

/** RUN: one exec vertex (L-RUN, L-MNT, L-HD-2, L-HD-3). */
export async function lowerRun(
  state: StageState,
  instruction: RunInstruction,
  step: Step,
): Promise<StageState> {
  const { lowering } = step;
  const { args, files, title } = commandOf(state, instruction);
  const inputs = new StepInputs(state.vertex);
  const expand = expanderFor(step, state);
  const mounts: ExecMount[] = [];
  for (const spec of instruction.mounts) {
    const type = typeOfMount(spec, instruction, expand);
    // Without a name it is as if it were not there.
    const from = spec.options.findLast((option) => option.key === 'from' && option.value !== '');
    const wantsInput = type === 'bind' || (type === 'cache' && from !== undefined);
    let input: number | undefined;
    if (wantsInput) {
      const digest =
        from === undefined
          ? lowering.context()
          : await inputOf({ text: from.value ?? '', range: from.range }, step, state.platform);
      input = digest === undefined ? undefined : inputs.add(digest);
    }
    const agents = mounts.filter((mount) => mount.type === 'ssh').length;
    mounts.push(lowerMount(spec, type, { step, state, expand, input, agents }));
  }
  const op: ExecOp = {
    kind: 'exec',
    base: inputs.base,
    args,
    env: formatEnv(environmentOf(state, mounts)),
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
  const vertex = lowering.vertices.add(op, inputs.digests, metaOf(step, title));
  return withHistory(state, `RUN ${historyArgs(state)}${args.join(' ')} # buildkit`, vertex);
}

/** What the image and the ARGs set, a PATH unless it is for Windows, and the agent's socket where nothing else is set (L-RUN-7, L-MNT-5). */
function environmentOf({ env, platform }: StageState, mounts: readonly ExecMount[]): EnvList {
  const agent = mounts.find((mount) => mount.type === 'ssh');
  const defaults = [
    ...(platform.os === 'windows' ? [] : [['PATH', defaultPath] as const]),
    ...(agent === undefined ? [] : [['SSH_AUTH_SOCK', agent.target] as const]),
  ];
  return defaults.reduce(
    (list, [name, value]) => (getEnv(list, name) === undefined ? setEnv(list, name, value) : list),
    env,
  );
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
    return { args: argsOf(command, state), files: [], title };
  if (command.text === first.word.text) {
    const content = heredocContent(first);
    const titled = `${title} ${summarizeHeredoc(content)}`;
    // As BuildKit looks, before tabs are taken off: `<<-` with an indented `#!` is a script of the shell.
    if (!first.body.startsWith('#!')) return { args: [...shellOf(state), content], files: [], title: titled };
    if (/[/\0]/.test(first.name) || first.name === '.' || first.name === '..') {
      throw faultAt(instruction, `\`${first.name}\` cannot be a file name`, { range: first.word.range });
    }
    const path = `/dev/pipes/${first.name}`;
    // Through the shell, as BuildKit has it.
    const args = [...shellOf(state), path];
    return { args, files: [{ path, content, mode: 0o755 }], title: titled };
  }
  // The shell reads the heredocs itself, so it gets them as they were written; tabs before the last line go, as with BuildKit.
  const text = heredocs.reduce((before, { body, name }) => `${before}\n${body}${name}`, command.text);
  return { args: [...shellOf(state), text], files: [], title };
}
