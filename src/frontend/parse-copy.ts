import type { Draft } from './draft.ts';
import { readJson, restAt } from './draft.ts';
import type { AddInstruction, CopyInstruction, CopyWord } from './instruction.ts';
import type { Word } from './lex.ts';
import { splitBlanks } from './lex.ts';
import { readFlags } from './parse-flags.ts';

const shared = { chown: 'word', chmod: 'word', link: 'bool', exclude: 'list' } as const;

/** Reads COPY or ADD (L-COPY-1, L-COPY-2). */
export function parseCopy(draft: Draft, kind: 'copy' | 'add'): CopyInstruction | AddInstruction | undefined {
  const flags = readFlags(
    draft,
    kind === 'copy'
      ? { from: 'word', ...shared, parents: 'bool' }
      : { ...shared, 'keep-git-dir': 'bool', checksum: 'word', unpack: 'bool' },
  );
  const words = copyWords(draft, flags.rest);
  const last = words?.at(-1);
  if (words === undefined || last === undefined) return undefined;
  if (words.length < 2) {
    draft.fail('DOCKERFILE_SYNTAX', `${draft.name} needs at least one source and a destination`, {
      hint: `write ${draft.name} <source>... <destination>`,
    });
    return undefined;
  }
  if (last.kind === 'heredoc') {
    draft.fail('DOCKERFILE_SYNTAX', 'a heredoc cannot be the destination', {
      range: last.heredoc.word.range,
    });
    return undefined;
  }
  for (const word of words) {
    if (
      word.kind === 'heredoc' &&
      (/[/\0]/.test(word.heredoc.name) || ['.', '..'].includes(word.heredoc.name))
    ) {
      draft.fail('DOCKERFILE_BAD_ARGUMENT', `\`${word.heredoc.name}\` cannot be a file name`, {
        range: word.heredoc.word.range,
      });
    }
  }
  const base = {
    ...draft.base,
    sources: words.slice(0, -1),
    dest: last.word,
    chown: flags.word('chown'),
    chmod: flags.word('chmod'),
    link: flags.bool('link') ?? false,
    exclude: flags.list('exclude').map((flag): Word => ({ text: flag.value ?? '', range: flag.valueRange })),
  };
  if (kind === 'copy') {
    const from = flags.word('from');
    if (from?.text.includes('$') === true) {
      draft.fail('DOCKERFILE_SYNTAX', 'variables are not expanded in `--from`', {
        range: from.range,
        hint: 'add a stage `FROM <variable> AS <name>` and copy from that',
      });
    }
    return { ...base, kind, from, parents: flags.bool('parents') ?? false };
  }
  return {
    ...base,
    kind,
    keepGitDir: flags.bool('keep-git-dir'),
    checksum: flags.word('checksum'),
    unpack: flags.bool('unpack'),
  };
}

function copyWords(draft: Draft, rest: number): readonly CopyWord[] | undefined {
  const whole = restAt(draft, rest);
  const json = readJson(draft, whole);
  if (json === 'faulty') return undefined;
  if (json !== undefined) {
    if (json.length === 0)
      draft.fail('DOCKERFILE_SYNTAX', `${draft.name} needs at least one source and a destination`);
    return json.map((text): CopyWord => ({ kind: 'path', word: { text, range: whole.range } }));
  }
  // A quoted delimiter may have blanks: what stands behind one belongs to its heredoc.
  const heredocs = new Map(draft.heredocs.map((heredoc) => [heredoc.word.start, heredoc]));
  const words: CopyWord[] = [];
  let end = 0;
  for (const word of splitBlanks(draft.logical, rest)) {
    if (word.start < end) continue;
    const heredoc = heredocs.get(word.start);
    if (heredoc !== undefined) end = heredoc.word.end;
    words.push(heredoc === undefined ? { kind: 'path', word } : { kind: 'heredoc', heredoc });
  }
  if (words.length === 0)
    draft.fail('DOCKERFILE_SYNTAX', `${draft.name} needs at least one source and a destination`);
  return words;
}
