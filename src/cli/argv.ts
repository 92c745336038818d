import type { Command, Option } from 'commander';
import { parseBoolean } from './csv.ts';

/**
 * Command-line words rewritten from the forms that docker's flags (Go's pflag) take to those that commander takes:
 * `--rm=false`, `-t=name`, and an optional value only after `=` (`--load=podman`), never the next word. Words after the
 * first positional one stay untouched where `stopAtWord` is set, those after `--` always.
 */
export function normalizeArgv(
  argv: readonly string[],
  command: Command,
  { stopAtWord = false }: { readonly stopAtWord?: boolean } = {},
): readonly string[] {
  const out: string[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    if (word === '--') return [...out, ...argv.slice(index)];
    if (word === '-' || !word.startsWith('-')) {
      if (stopAtWord) return [...out, ...argv.slice(index)];
      out.push(word);
      continue;
    }
    const { words, takesNext } = word.startsWith('--')
      ? longOption(word, command)
      : shortOptions(word, command);
    out.push(...words);
    if (takesNext && index + 1 < argv.length) {
      index += 1;
      out.push(argv[index] ?? '');
    }
  }
  return out;
}

interface Rewritten {
  readonly words: readonly string[];
  readonly takesNext: boolean;
}

function longOption(word: string, command: Command): Rewritten {
  const at = word.indexOf('=');
  const name = at === -1 ? word : word.slice(0, at);
  const option = find(command, name);
  if (option === undefined || option.required)
    return { words: [word], takesNext: option !== undefined && at === -1 };
  if (option.optional) return { words: [at === -1 ? `${word}=` : word], takesNext: false };
  if (at === -1) return { words: [word], takesNext: false };
  return { words: parseBoolean(word.slice(at + 1), name) ? [name] : [], takesNext: false };
}

function shortOptions(word: string, command: Command): Rewritten {
  for (let index = 1; index < word.length; index += 1) {
    const option = find(command, `-${word[index]}`);
    if (option === undefined) return { words: [word], takesNext: false };
    const rest = word.slice(index + 1);
    if (option.required) {
      if (rest.startsWith('=')) return { words: [word.slice(0, index + 1), rest.slice(1)], takesNext: false };
      return { words: [word], takesNext: rest === '' };
    }
    if (rest.startsWith('=')) {
      const on = parseBoolean(rest.slice(1), `-${word[index]}`);
      const before = word.slice(0, on ? index + 1 : index);
      return { words: before === '-' ? [] : [before], takesNext: false };
    }
  }
  return { words: [word], takesNext: false };
}

function find(command: Command, name: string): Option | undefined {
  return command.options.find((option) => option.long === name || option.short === name);
}
