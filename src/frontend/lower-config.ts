import type { Healthcheck } from '../oci/config.ts';
import type {
  ArgInstruction,
  Command,
  CommandInstruction,
  EnvInstruction,
  HealthcheckInstruction,
  OnbuildInstruction,
  ShellInstruction,
  WordInstruction,
  WordsInstruction,
} from './instruction.ts';
import { formatDuration } from './duration.ts';
import { goQuoteList } from './go-quote.ts';
import { findingAt } from './checks/check.ts';
import { hostPort, protoCasing } from './checks/instruction-rules.ts';
import type { Range } from '../util/source.ts';
import type { Step } from './lowering.ts';
import { expanderFor, faultAt, placed } from './lowering.ts';
import { parsePorts } from './ports.ts';
import { getEnv, hiddenArgNames, ownValue, setEnv, setEnvString } from './scope.ts';
import { isSignal } from './signals.ts';
import type { StageState } from './state.ts';
import { withConfig, withHistory, withLabels } from './state.ts';

/** ARG in a stage (L-ARG-2): --build-arg, else its default, else the global value. */
export function lowerArg(state: StageState, instruction: ArgInstruction, step: Step): StageState {
  const { lowering } = step;
  const expand = expanderFor(step, state);
  const texts: string[] = [];
  let next = state;
  for (const { name: nameWord, value: defaultWord } of instruction.args) {
    const name = expand.word(nameWord);
    lowering.useArg(name);
    const given = ownValue(lowering.options.buildArgs, name);
    const value =
      given ?? (defaultWord === undefined ? getEnv(lowering.globals, name) : expand.word(defaultWord));
    texts.push(value === undefined ? name : `${name}=${value}`);
    next = {
      ...next,
      args: setArg(next.args, name, value),
      env: value === undefined || hiddenArgNames.has(name) ? next.env : setEnv(next.env, name, value),
    };
  }
  return withHistory(next, `ARG ${texts.join(' ')}`);
}

/** As `setEnv`, for names that may have no value: history lists ARGs in the order in which they were first declared. */
function setArg(args: StageState['args'], name: string, value: string | undefined): StageState['args'] {
  return args.some(([known]) => known === name)
    ? args.map((arg) => (arg[0] === name ? ([name, value] as const) : arg))
    : [...args, [name, value]];
}

/** ENV and LABEL. All values are expanded with what was set before the instruction (L-VAR-11). */
export function lowerPairs(state: StageState, instruction: EnvInstruction, step: Step): StageState {
  const expand = expanderFor(step, state);
  const pairs = instruction.pairs.map(({ key, value }) => {
    const name = expand.word(key);
    if (name === '') throw faultAt(instruction, 'a name is empty', { range: key.range });
    return [name, expand.word(value)] as const;
  });
  const text = pairs.map(([name, value]) => `${name}=${value}`).join(' ');
  if (instruction.kind === 'label') {
    return withHistory(withLabels(state, pairs), `LABEL ${text}`);
  }
  let image = state.config.Env ?? [];
  let { env } = state;
  for (const [name, value] of pairs) {
    image = setEnvString(image, name, value);
    env = setEnv(env, name, value);
  }
  return withHistory({ ...withConfig(state, { Env: image }), env }, `ENV ${text}`);
}

/** The argv of a command: shell form goes through the config's SHELL. */
export function argsOf(command: Command, state: StageState): readonly string[] {
  return command.form === 'exec' ? command.args : [...shellOf(state), command.text];
}

/** What runs the shell form: that of SHELL, else the platform's (L-RUN-1). */
export function shellOf({ config, platform }: StageState): readonly string[] {
  if (config.Shell !== undefined && config.Shell.length > 0) return config.Shell;
  return platform.os === 'windows' ? ['cmd', '/S', '/C'] : ['/bin/sh', '-c'];
}

/** CMD and ENTRYPOINT (L-CMD-1, L-ENTRY-1). */
export function lowerCommand(state: StageState, instruction: CommandInstruction, step: Step): StageState {
  const { command } = instruction;
  const name = instruction.kind.toUpperCase();
  const args = argsOf(command, state);
  if (command.form === 'shell' && (state.config.Shell ?? []).length === 0) {
    step.lowering.report(
      'JSONArgsRecommended',
      findingAt(instruction, `${name} in shell form keeps signals of the system from the process`, {
        hint: command.text.trimStart().startsWith('[')
          ? 'it begins like a JSON array and is none: look at its quotes (only ") and commas'
          : `write ${name} as a JSON array`,
      }),
    );
  }
  const text = `${name} ${goQuoteList(args)}`;
  const value = args.length === 0 ? undefined : args;
  if (instruction.kind === 'cmd') {
    return withHistory({ ...withConfig(state, { Cmd: value, ArgsEscaped: true }), hasCmd: true }, text);
  }
  return withHistory(
    withConfig(state, { Entrypoint: value, ...(state.hasCmd ? {} : { Cmd: undefined }) }),
    text,
  );
}

export function lowerShell(state: StageState, instruction: ShellInstruction): StageState {
  return withHistory(withConfig(state, { Shell: instruction.args }), `SHELL [${instruction.args.join(' ')}]`);
}

/** ONBUILD only keeps its text (L-OB-1). As with BuildKit, and unlike all others, it leaves no entry in the history. */
export function lowerOnbuild(state: StageState, { trigger }: OnbuildInstruction): StageState {
  return withConfig(state, { OnBuild: [...(state.config.OnBuild ?? []), trigger] });
}

/** HEALTHCHECK (L-HC-1). */
export function lowerHealthcheck(state: StageState, instruction: HealthcheckInstruction): StageState {
  const { command } = instruction;
  const test =
    command === undefined
      ? ['NONE']
      : command.form === 'exec'
        ? ['CMD', ...command.args]
        : ['CMD-SHELL', command.text];
  const { interval, timeout, startPeriod, startInterval, retries } = instruction;
  const healthcheck: Healthcheck = {
    Test: test,
    ...(interval > 0 ? { Interval: interval } : {}),
    ...(timeout > 0 ? { Timeout: timeout } : {}),
    ...(startPeriod > 0 ? { StartPeriod: startPeriod } : {}),
    ...(startInterval > 0 ? { StartInterval: startInterval } : {}),
    ...(retries > 0 ? { Retries: retries } : {}),
  };
  // As current BuildKit prints it (`%+v`); older ones print `%q` of a pointer.
  const times = [
    `Interval:${formatDuration(interval)}`,
    `Timeout:${formatDuration(timeout)}`,
    `StartPeriod:${formatDuration(startPeriod)}`,
    `StartInterval:${formatDuration(startInterval)}`,
    `Retries:${retries}`,
  ];
  const text = `HEALTHCHECK {Test:[${test.join(' ')}] ${times.join(' ')}}`;
  return withHistory(withConfig(state, { Healthcheck: healthcheck }), text);
}

/** EXPOSE and VOLUME. */
export function lowerList(state: StageState, instruction: WordsInstruction, step: Step): StageState {
  return instruction.kind === 'volume'
    ? lowerVolume(state, instruction, step)
    : lowerExpose(state, instruction, step);
}

/** VOLUME (L-VOL-1): blanks around what is written go, those of a variable's value stay. */
function lowerVolume(state: StageState, instruction: WordsInstruction, step: Step): StageState {
  const expand = expanderFor(step, state);
  const paths = instruction.values.map(({ text, range }) => {
    const path = expand.word({ text: text.trim(), range });
    if (path === '') throw faultAt(instruction, 'a volume has no path', { range });
    return path;
  });
  return withHistory(
    withConfig(state, { Volumes: withKeys(state.config.Volumes, paths) }),
    `VOLUME [${paths.join(' ')}]`,
  );
}

/** Ports that one EXPOSE may list: all there are, of three protocols. */
const mostPorts = 3 * 65_536;

/** The checks of a port that a variable gave. */
function checkPort(
  text: string,
  range: Range,
  { instruction, step }: { instruction: WordsInstruction; step: Step },
): void {
  const casing = protoCasing(text);
  const host = hostPort(text);
  const { report } = step.lowering;
  if (casing !== undefined) report('ExposeProtoCasing', findingAt(instruction, casing, { range }));
  if (host !== undefined) report('ExposeInvalidFormat', findingAt(instruction, host, { range }));
}

/** EXPOSE (L-EXPOSE-1). The arguments are sorted as written, before variables have values; history lists each port of a range. */
function lowerExpose(state: StageState, instruction: WordsInstruction, step: Step): StageState {
  const expand = expanderFor(step, state);
  const ports: string[] = [];
  for (const word of instruction.values.toSorted((a, b) => (a.text < b.text ? -1 : 1))) {
    for (const text of expand.words(word)) {
      const found = placed(instruction, word.range, () => parsePorts(text));
      if (word.text.includes('$')) checkPort(text, word.range, { instruction, step });
      if (ports.length + found.last - found.first >= mostPorts)
        throw faultAt(instruction, `EXPOSE lists more than ${mostPorts} ports`, { range: word.range });
      for (let port = found.first; port <= found.last; port++) ports.push(`${port}/${found.proto}`);
    }
  }
  return withHistory(
    withConfig(state, { ExposedPorts: withKeys(state.config.ExposedPorts, ports) }),
    `EXPOSE [${ports.join(' ')}]`,
  );
}

function withKeys(
  record: Readonly<Record<string, Record<string, never>>> | undefined,
  keys: readonly string[],
): Readonly<Record<string, Record<string, never>>> {
  const all = new Set([...Object.keys(record ?? {}), ...keys]);
  return Object.fromEntries([...all].toSorted().map((key) => [key, {}]));
}

/** USER, STOPSIGNAL and MAINTAINER; WORKDIR makes a layer and is elsewhere. */
export function lowerWord(state: StageState, instruction: WordInstruction, step: Step): StageState {
  const { value: word } = instruction;
  if (instruction.kind === 'maintainer') {
    return withHistory({ ...state, author: word.text }, `MAINTAINER ${word.text}`);
  }
  const value = expanderFor(step, state).word(word);
  if (instruction.kind === 'user') {
    const big = value.split(':').find((id) => /^\d+$/.test(id) && Number(id) > 0x7fff_ffff);
    // A larger number would wrap to another user, root among them (S-P-5).
    if (big !== undefined)
      throw faultAt(instruction, `the id ${big} is larger than 2147483647`, { range: word.range });
    // An empty text, from a variable that is not set, is root: so Docker takes it.
    return withHistory(withConfig(state, { User: value === '' ? undefined : value }), `USER ${value}`);
  }
  if (value === '') {
    throw faultAt(instruction, 'the argument of STOPSIGNAL is empty', { range: word.range });
  }
  if (!isSignal(value)) {
    throw faultAt(instruction, `\`${value}\` is no signal`, {
      range: word.range,
      hint: 'write a name like SIGTERM or a number from 1 to 64',
    });
  }
  return withHistory(withConfig(state, { StopSignal: value }), `STOPSIGNAL ${value}`);
}
