import type { Draft } from './draft.ts';
import { makeDraft, readJson, restAt } from './draft.ts';
import type {
  Command,
  HealthcheckInstruction,
  Instruction,
  MountSpec,
  OnbuildInstruction,
  Pair,
  RunInstruction,
} from './instruction.ts';
import { instructionNames } from './instruction.ts';
import type { Word } from './lex.ts';
import { readJsonArray, splitBlanks, splitQuoted, wordAt } from './lex.ts';
import { parseCopy } from './parse-copy.ts';
import { readFlags } from './parse-flags.ts';
import { parseMount } from './parse-mount.ts';
import { parseDuration } from './duration.ts';
import { didYouMean } from '../util/suggest.ts';

type Reader = (draft: Draft) => Instruction | undefined;

const readers: Readonly<Record<string, Reader>> = {
  ADD: (draft) => parseCopy(draft, 'add'),
  ARG: parseArg,
  CMD: (draft) => parseCommandInstruction(draft, 'cmd'),
  COPY: (draft) => parseCopy(draft, 'copy'),
  ENTRYPOINT: (draft) => parseCommandInstruction(draft, 'entrypoint'),
  ENV: (draft) => parsePairs(draft, 'env'),
  EXPOSE: (draft) => parseList(draft, 'expose'),
  FROM: parseFrom,
  HEALTHCHECK: parseHealthcheck,
  LABEL: (draft) => parsePairs(draft, 'label'),
  MAINTAINER: (draft) => parseWhole(draft, 'maintainer'),
  ONBUILD: parseOnbuild,
  RUN: parseRun,
  SHELL: parseShell,
  STOPSIGNAL: (draft) => parseWhole(draft, 'stopsignal'),
  USER: (draft) => parseWhole(draft, 'user'),
  VOLUME: (draft) => parseList(draft, 'volume'),
  WORKDIR: (draft) => parseWhole(draft, 'workdir'),
};

/** Reads one instruction. Faults go to the draft; undefined where nothing useful is left. */
export function parseInstruction(draft: Draft): Instruction | undefined {
  const reader = Object.hasOwn(readers, draft.name) ? readers[draft.name] : undefined;
  if (reader !== undefined) return reader(draft);
  draft.fail(
    'DOCKERFILE_UNKNOWN_INSTRUCTION',
    `unknown instruction \`${draft.base.keyword.text.slice(0, 80)}\``,
    {
      range: draft.base.keyword.range,
      hint: didYouMean(draft.name, instructionNames),
    },
  );
  return undefined;
}

function missing(draft: Draft, what: string): undefined {
  draft.fail('DOCKERFILE_SYNTAX', `${draft.name} needs ${what}`);
  return undefined;
}

/** Shell or JSON form of what begins at `at`; faults in JSON are reported (L-PARSE-8). */
function readCommand(draft: Draft, at: number): Command | undefined {
  const rest = restAt(draft, at);
  const json = readJson(draft, rest);
  if (json === 'faulty') return undefined;
  return json === undefined
    ? { form: 'shell', text: rest.text, range: rest.range }
    : { form: 'exec', args: json, range: rest.range };
}

function parseFrom(draft: Draft): Instruction | undefined {
  const flags = readFlags(draft, { platform: 'word' });
  const words = splitBlanks(draft.logical, flags.rest);
  const [image, keyword, name, extra] = words;
  if (image === undefined) return missing(draft, 'an image or a stage');
  const base = {
    ...draft.base,
    kind: 'from' as const,
    image,
    platform: flags.word('platform'),
    comments: draft.comments,
  };
  if (keyword === undefined) return base;
  if (keyword.text.toUpperCase() !== 'AS' || name === undefined || extra !== undefined) {
    draft.fail('DOCKERFILE_SYNTAX', 'FROM takes an image, or an image and `AS` with a name', {
      range: (extra ?? keyword).range,
      hint: 'write FROM <image> AS <name>',
    });
    return base;
  }
  if (!/^[a-z][a-z0-9_.-]*$/.test(name.text.toLowerCase())) {
    draft.fail('DOCKERFILE_BAD_ARGUMENT', `\`${name.text}\` cannot be the name of a stage`, {
      range: name.range,
      hint: 'use a letter, then letters, digits, `-`, `_` and `.`',
    });
    return base;
  }
  return { ...base, as: { keyword, name } };
}

function parseArg(draft: Draft): Instruction | undefined {
  const { rest } = readFlags(draft, {});
  const { words } = splitQuoted(draft.logical, rest, draft);
  if (words.length === 0) return missing(draft, 'a name');
  const args: { name: Word; value?: Word }[] = [];
  for (const word of words) {
    const equals = word.text.indexOf('=');
    const name = equals < 0 ? word : wordAt(draft.logical, word.start, word.start + equals);
    if (name.text === '') {
      draft.fail('DOCKERFILE_SYNTAX', 'the name of an ARG is empty', { range: word.range });
      continue;
    }
    args.push(
      equals < 0 ? { name } : { name, value: wordAt(draft.logical, word.start + equals + 1, word.end) },
    );
  }
  return { ...draft.base, kind: 'arg', args, comments: draft.comments };
}

function parsePairs(draft: Draft, kind: 'env' | 'label'): Instruction | undefined {
  const { rest } = readFlags(draft, {});
  const { words } = splitQuoted(draft.logical, rest, draft);
  const [first] = words;
  if (first === undefined) return missing(draft, 'a name and a value');
  if (!first.text.includes('=')) {
    const [key] = splitBlanks(draft.logical, first.start);
    const value = splitBlanks(draft.logical, key?.end ?? first.end)[0];
    if (key === undefined || value === undefined)
      return missing(draft, 'a name and a value: write name=value');
    return { ...draft.base, kind, pairs: [{ key, value: restAt(draft, value.start) }], legacy: true };
  }
  const pairs: Pair[] = [];
  for (const word of words) {
    const equals = word.text.indexOf('=');
    if (equals < 0) {
      draft.fail('DOCKERFILE_SYNTAX', `\`${word.text}\` has no \`=\``, {
        range: word.range,
        hint: word.text.endsWith('}')
          ? 'a blank ends a value inside `${...}` too: put the whole value in double quotes'
          : 'write name=value; a value with blanks needs quotes',
      });
    } else if (equals === 0) {
      draft.fail('DOCKERFILE_SYNTAX', `the name before \`=\` is empty`, { range: word.range });
    } else {
      pairs.push({
        key: wordAt(draft.logical, word.start, word.start + equals),
        value: wordAt(draft.logical, word.start + equals + 1, word.end),
      });
    }
  }
  return { ...draft.base, kind, pairs, legacy: false };
}

function parseCommandInstruction(draft: Draft, kind: 'cmd' | 'entrypoint'): Instruction | undefined {
  const { rest } = readFlags(draft, {});
  const command = readCommand(draft, rest);
  return command === undefined ? undefined : { ...draft.base, kind, command };
}

function parseWhole(
  draft: Draft,
  kind: 'user' | 'workdir' | 'stopsignal' | 'maintainer',
): Instruction | undefined {
  const { rest } = readFlags(draft, {});
  const value = restAt(draft, rest);
  if (value.text === '') return missing(draft, 'an argument');
  return { ...draft.base, kind, value };
}

function parseList(draft: Draft, kind: 'expose' | 'volume'): Instruction | undefined {
  const { rest } = readFlags(draft, {});
  const whole = restAt(draft, rest);
  const json = kind === 'volume' ? readJson(draft, whole) : undefined;
  if (json === 'faulty') return undefined;
  const values = json?.map((text) => ({ text, range: whole.range })) ?? splitBlanks(draft.logical, rest);
  if (values.length === 0) return missing(draft, 'an argument');
  return { ...draft.base, kind, values };
}

function parseShell(draft: Draft): Instruction | undefined {
  const { rest } = readFlags(draft, {});
  const whole = restAt(draft, rest);
  const args = readJsonArray(whole.text);
  if (Array.isArray(args) && args.length > 0)
    return readJson(draft, whole) === 'faulty' ? undefined : { ...draft.base, kind: 'shell', args };
  draft.fail('DOCKERFILE_SYNTAX', 'SHELL takes a JSON array of strings', {
    range: whole.range,
    hint: 'write SHELL ["/bin/bash", "-c"]',
  });
  return undefined;
}

function parseRun(draft: Draft): RunInstruction | undefined {
  const flags = readFlags(draft, { mount: 'list', network: 'word', security: 'word', device: 'list' });
  const mounts = flags
    .list('mount')
    .map((flag) => parseMount(draft, flag))
    .filter((mount): mount is MountSpec => mount !== undefined);
  for (const device of flags.list('device')) {
    draft.fail(
      'UNSUPPORTED_HERE',
      '`RUN --device` is not supported: it is a feature of the labs channel alone',
      {
        range: device.range,
        hint: 'a step that needs devices of the host can have `--security=insecure`',
      },
    );
  }
  const network = oneOf(draft, flags.word('network'), ['default', 'none', 'host'] as const);
  const security = oneOf(draft, flags.word('security'), ['sandbox', 'insecure'] as const);
  const command = readCommand(draft, flags.rest);
  if (command === undefined) return undefined;
  if (command.form === 'shell' ? command.text === '' : command.args.length === 0)
    return missing(draft, 'a command');
  return {
    ...draft.base,
    kind: 'run',
    command,
    mounts,
    network,
    security: security ?? 'sandbox',
    heredocs: draft.heredocs,
  };
}

function oneOf<T extends string>(draft: Draft, word: Word | undefined, values: readonly T[]): T | undefined {
  if (word === undefined) return undefined;
  const found = values.find((value) => value === word.text);
  if (found === undefined) {
    draft.fail('DOCKERFILE_BAD_ARGUMENT', `\`${word.text}\` is none of ${values.join(', ')}`, {
      range: word.range,
      hint: didYouMean(word.text, values),
    });
  }
  return found;
}

function parseHealthcheck(draft: Draft): HealthcheckInstruction | undefined {
  const names = ['interval', 'timeout', 'start-period', 'start-interval', 'retries'];
  const flags = readFlags(draft, Object.fromEntries(names.map((name) => [name, 'word' as const])));
  const [type, argument] = splitBlanks(draft.logical, flags.rest);
  const kind = type?.text.toUpperCase();
  if (type === undefined || (kind !== 'CMD' && kind !== 'NONE')) {
    draft.fail('DOCKERFILE_SYNTAX', 'HEALTHCHECK takes `NONE`, or `CMD` and a command', {
      range: type?.range ?? draft.base.keyword.range,
      hint: type === undefined ? undefined : didYouMean(type.text, ['CMD', 'NONE']),
    });
    return undefined;
  }
  if (kind === 'NONE' && argument !== undefined) {
    draft.fail('DOCKERFILE_SYNTAX', 'HEALTHCHECK NONE takes no arguments', { range: argument.range });
  }
  if (kind === 'CMD' && argument === undefined) return missing(draft, 'a command behind `CMD`');
  const command = kind === 'NONE' || argument === undefined ? undefined : readCommand(draft, argument.start);
  if (kind === 'CMD' && command === undefined) return undefined;
  if (command?.form === 'exec' && command.args.length === 0) return missing(draft, 'a command behind `CMD`');
  const time = (name: string): number => readTime(draft, name, flags.word(name));
  const times = {
    interval: time('interval'),
    timeout: time('timeout'),
    startPeriod: time('start-period'),
    startInterval: time('start-interval'),
    retries: readRetries(draft, flags.word('retries')),
  };
  // NONE has no use for times: what stands there is read, so that its faults show, and not kept.
  return { ...draft.base, kind: 'healthcheck', command, ...(kind === 'NONE' ? noTimes : times) };
}

const noTimes = { interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };

function readTime(draft: Draft, name: string, word: Word | undefined): number {
  if (word === undefined) return 0;
  const time = parseDuration(word.text);
  if (time !== undefined && (time === 0 || time >= 1e6)) return time;
  draft.fail('DOCKERFILE_BAD_ARGUMENT', `\`--${name}\` cannot be \`${word.text}\``, {
    range: word.range,
    hint: 'write a duration of at least 1ms, like 30s or 1m30s',
  });
  return 0;
}

function readRetries(draft: Draft, word: Word | undefined): number {
  if (word === undefined) return 0;
  if (/^\+?\d{1,20}$/.test(word.text) && Number(word.text) < 2 ** 31) return Number(word.text);
  draft.fail('DOCKERFILE_BAD_ARGUMENT', `\`--retries\` cannot be \`${word.text}\``, {
    range: word.range,
    hint: 'write a whole number of at least 0',
  });
  return 0;
}

function parseOnbuild(draft: Draft): OnbuildInstruction | undefined {
  const { rest } = readFlags(draft, {});
  const whole = restAt(draft, rest);
  if (whole.text === '') return missing(draft, 'an instruction');
  const name = /^\S+/.exec(whole.text)?.[0].toUpperCase() ?? '';
  if (['ONBUILD', 'FROM', 'MAINTAINER'].includes(name)) {
    draft.fail('DOCKERFILE_SYNTAX', `${name} cannot be a trigger of ONBUILD`, { range: whole.range });
    return undefined;
  }
  // The inner instruction is read now, so that its faults show where they are written.
  const { pieces } = draft.logical;
  const inner = {
    ...draft.logical,
    text: whole.text,
    pieces: pieces
      .map((piece, index) => ({
        at: piece.at - whole.start,
        offset: piece.offset,
        end: pieces[index + 1]?.at ?? Infinity,
      }))
      .filter((piece) => piece.end > whole.start)
      .map((piece) => (piece.at < 0 ? { at: 0, offset: piece.offset - piece.at } : piece)),
  };
  const heredocs = draft.heredocs.map((heredoc) => {
    const { word } = heredoc;
    return { ...heredoc, word: { ...word, start: word.start - whole.start, end: word.end - whole.start } };
  });
  const faults: Parameters<typeof makeDraft>[2] = [];
  parseInstruction(
    makeDraft(
      inner,
      { escape: draft.escape, heredocs, range: whole.range, comments: [], skip: [], experimental: [] },
      faults,
    ),
  );
  for (const fault of faults)
    draft.fail(fault.code, fault.message, {
      ...(fault.source && { range: fault.source.range }),
      hint: fault.hint,
    });
  const bodies = draft.heredocs.map((heredoc) => `\n${heredoc.body}${heredoc.terminator}`);
  return { ...draft.base, kind: 'onbuild', trigger: whole.text + bodies.join('') };
}
