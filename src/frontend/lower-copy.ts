import type { CopySource, Op } from '../graph/op.ts';
import type { Digest } from '../oci/digest.ts';
import { isDigest } from '../oci/digest.ts';
import { isGitUrl } from '../util/git-url.ts';
import type { Heredoc } from './heredoc.ts';
import { heredocContent } from './heredoc.ts';
import type { AddInstruction, CopyInstruction, WordInstruction } from './instruction.ts';
import type { Word } from './lex.ts';
import { inputOf } from './lower-inputs.ts';
import type { Expander, Step } from './lowering.ts';
import { expanderFor, faultAt, locate, metaOf, placed, titleOf } from './lowering.ts';
import { absolutePath, copyDestination, isAbsolute, pivotPath, sourcePath } from './paths.ts';
import { gitChecksum, gitOp, httpOp, isRemote, withoutCredentials } from './remote.ts';
import type { StageState } from './state.ts';
import { withConfig, withHistory } from './state.ts';
import { StepInputs } from './step-inputs.ts';
import { expandHeredoc } from './words.ts';

/** COPY and ADD: one copy vertex, one layer (L-COPY, L-ADD). */
export async function lowerCopy(
  state: StageState,
  instruction: CopyInstruction | AddInstruction,
  step: Step,
): Promise<StageState> {
  const { lowering } = step;
  const expand = expanderFor(step, state);
  const inputs = new StepInputs(state.vertex);
  // Empty texts, from variables that are not set, are the working directory and the source's root: so Docker takes them.
  const dest = expand.word(instruction.dest);
  const parents = instruction.kind === 'copy' && instruction.parents;
  const from = instruction.kind === 'copy' ? instruction.from : undefined;
  const tree =
    from === undefined ? undefined : ((await inputOf(from, step, state.platform)) ?? emptyTree(step));
  const sources: CopySource[] = [];
  const shown: string[] = [];
  // Files come before heredocs, whatever the order in which they are written: the later of one name wins, as with BuildKit.
  const isHeredoc = (source: (typeof instruction.sources)[number]): boolean => source.kind === 'heredoc';
  const ordered = [
    ...instruction.sources.filter((s) => !isHeredoc(s)),
    ...instruction.sources.filter(isHeredoc),
  ];
  for (const source of ordered) {
    if (source.kind === 'heredoc') {
      sources.push(inlineSource(source.heredoc, expand, instruction));
      shown.push(`<<${source.heredoc.name}`);
      continue;
    }
    const text = expand.word(source.word);
    shown.push(withoutCredentials(text));
    if (instruction.kind === 'add' && isRemote(text)) {
      const remote = remoteSource(text, source.word, { instruction, expand, step });
      sources.push({
        kind: 'input',
        input: inputs.add(remote.digest),
        paths: remote.paths,
        extract: remote.extract,
      });
      continue;
    }
    const input = inputs.add(tree ?? lowering.context());
    const path = parents ? pivotPath(text) : sourcePath(text);
    if (tree === undefined) checkIgnored(text, { source, instruction, step });
    const extract = instruction.kind === 'add' && instruction.unpack !== false;
    const last = sources.at(-1);
    if (last?.kind === 'input' && last.input === input && last.extract === extract) {
      sources[sources.length - 1] = { ...last, paths: [...last.paths, path] };
    } else sources.push({ kind: 'input', input, paths: [path], extract });
  }
  checkChecksum(instruction, shown);
  const chown = optional(instruction.chown, expand);
  const chmod = readMode(instruction, expand);
  const flags = `${parents ? ' --parents' : ''}${chown === undefined ? '' : ` --chown=${chown}`}${chmod === undefined ? '' : ` --chmod=${chmod}`}`;
  const op: Op = {
    kind: 'copy',
    base: inputs.base,
    sources,
    dest: copyDestination(dest, state.config.WorkingDir ?? '/'),
    ...(chown === undefined ? {} : { chown }),
    ...(chmod === undefined ? {} : { chmod }),
    parents,
    exclude: instruction.exclude.map((word) => expand.word(word)),
    // With --chmod Docker makes a normal copy (Z-2).
    link: instruction.link && chmod === undefined,
  };
  const name = instruction.kind.toUpperCase();
  const title = `${op.link ? 'LINK ' : ''}${titleOf(instruction)}`;
  const vertex = lowering.vertices.add(op, inputs.digests, metaOf(step, title));
  return withHistory(state, `${name}${flags} ${[...shown, dest].join(' ')} # buildkit`, vertex);
}

/** A source that the ignore file excludes cannot be copied (L-COPY-17, CK-19). */
function checkIgnored(
  text: string,
  {
    source,
    instruction,
    step,
  }: { source: { readonly word: Word }; instruction: CopyInstruction | AddInstruction; step: Step },
): void {
  const rule = step.lowering.options.ignoredBy?.(sourcePath(text));
  if (rule === undefined) return;
  const { range } = source.word;
  step.lowering.report('CopyIgnoredFile', {
    about: instruction,
    range,
    message: `\`${text}\` is excluded by ${rule}`,
    hint: 'take it out of the ignore file, or copy something else',
  });
}

function emptyTree(step: Step): Digest {
  return step.lowering.vertices.add({ kind: 'merge' }, [], {
    name: '[internal] empty',
    rank: step.stage.index,
  });
}

function optional(word: Word | undefined, expand: Expander): string | undefined {
  const text = word === undefined ? '' : expand.word(word);
  return text === '' ? undefined : text;
}

function inlineSource(
  heredoc: Heredoc,
  expand: Expander,
  instruction: CopyInstruction | AddInstruction,
): CopySource {
  const raw = heredocContent(heredoc);
  const { range } = heredoc.word;
  const content = heredoc.expand
    ? placed(instruction, range, () => expandHeredoc(raw, expand.expansion(range)))
    : raw;
  return { kind: 'inline', name: heredoc.name, content, mode: 0o644 };
}

/** `--chmod`: octal up to 07777, or a list as chmod(1) takes it (L-COPY-13). */
function readMode(instruction: CopyInstruction | AddInstruction, expand: Expander): string | undefined {
  const mode = optional(instruction.chmod, expand);
  if (mode === undefined) return undefined;
  const octal = /^[0-7]+$/.test(mode);
  const clause = /^[ugoa]*(?:[-+=][rwxXstugo]*)+$/;
  if (octal ? Number.parseInt(mode, 8) <= 0o7777 : mode.split(',').every((part) => clause.test(part)))
    return mode;
  throw faultAt(instruction, `\`${mode}\` is no mode`, {
    ...(instruction.chmod === undefined ? {} : { range: instruction.chmod.range }),
    hint: 'write it in octal like 0755, or like u=rwX,go=rX',
  });
}

function remoteSource(
  text: string,
  word: Word,
  { instruction, expand, step }: { instruction: AddInstruction; expand: Expander; step: Step },
): { digest: Digest; paths: readonly string[]; extract: boolean } {
  const checksum = optional(instruction.checksum, expand);
  const about = {
    name: `[internal] fetch ${shortUrl(text)}`,
    source: locate(instruction, word.range),
    rank: step.stage.index,
  };
  if (isGitUrl(text)) {
    const op = placed(instruction, word.range, () => gitOp(text));
    const commit =
      checksum === undefined
        ? op.checksum
        : placed(instruction, instruction.checksum?.range ?? word.range, () => gitChecksum(checksum));
    if (op.checksum !== undefined && commit !== op.checksum) {
      throw faultAt(instruction, 'the URL and `--checksum` name different commits', { range: word.range });
    }
    const keepGitDir = instruction.keepGitDir ?? op.keepGitDir;
    const full = {
      ...op,
      ...(commit === undefined ? {} : { checksum: commit }),
      ...(keepGitDir === undefined ? {} : { keepGitDir }),
    };
    return { digest: step.lowering.vertices.add(full, [], about), paths: [''], extract: false };
  }
  const op = placed(instruction, word.range, () => httpOp(text));
  if (checksum !== undefined && !isDigest(checksum)) {
    throw faultAt(instruction, `\`${checksum}\` is no checksum`, {
      range: instruction.checksum?.range ?? word.range,
      hint: 'write sha256: and 64 lower-case hex digits',
    });
  }
  const digest = step.lowering.vertices.add(
    { ...op, ...(checksum === undefined ? {} : { checksum }) },
    [],
    about,
  );
  return { digest, paths: [literalPattern(op.filename)], extract: instruction.unpack === true };
}

/** Paths of a copy are patterns; the name of a download is not. */
function literalPattern(name: string): string {
  return name.replace(/[\\*?[]/g, '\\$&');
}

/** A URL as step names show it: without a password and a query. */
function shortUrl(text: string): string {
  return withoutCredentials(text).replace(/[?#].*$/s, '');
}

function checkChecksum(instruction: CopyInstruction | AddInstruction, sources: readonly string[]): void {
  if (instruction.kind !== 'add' || instruction.checksum === undefined) return;
  if (sources.length === 1 && isRemote(sources[0] ?? '')) return;
  throw faultAt(instruction, '`--checksum` is for one remote source', { range: instruction.checksum.range });
}

/** WORKDIR: sets the directory, and makes it in a layer of its own unless it is the root (L-WD-1). */
export function lowerWorkdir(state: StageState, instruction: WordInstruction, step: Step): StageState {
  // An empty text, from a variable that is not set, is the directory that was: so Docker takes it.
  const text = expanderFor(step, state).word(instruction.value);
  const path = absolutePath(text, state.config.WorkingDir ?? '/');
  const next = { ...withConfig(state, { WorkingDir: path }), hasWorkdir: true };
  if (!state.hasWorkdir && !isAbsolute(text, state.platform.os)) {
    const { range } = instruction.value;
    const message = `\`${text}\` depends on the working directory of the base image`;
    step.lowering.report('WorkdirRelativePath', {
      about: instruction,
      range,
      message,
      hint: 'use an absolute path',
    });
  }
  const meta = metaOf(step, `WORKDIR ${path}`);
  if (path === '/') return withHistory(next, `WORKDIR ${path}`);
  const inputs = new StepInputs(state.vertex);
  const vertex = step.lowering.vertices.add(
    { kind: 'mkdir', base: inputs.base, path, user: state.config.User ?? '' },
    inputs.digests,
    meta,
  );
  return withHistory(next, `WORKDIR ${path}`, vertex);
}
