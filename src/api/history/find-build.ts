import { BuildError } from '../../util/build-error.ts';
import type { BuildRecord, BuildStep } from '../build-record.ts';
import type { BuildFile } from './build-files.ts';
import { isAlive, listBuildFiles, readBuildFile } from './build-files.ts';

/** A build as its file says; one that nobody ended was interrupted. undefined: it is damaged or gone. */
export function readBuild(file: BuildFile): BuildRecord | undefined {
  const stored = readBuildFile(file);
  if (stored === undefined) return undefined;
  const { version: _, owner, ...record } = stored;
  return record.status === 'running' && !isAlive(owner) ? { ...record, status: 'interrupted' } : record;
}

/** The build that an id, a beginning of one, or `latest` means. Throws BUILD_NOT_FOUND. */
export function findBuild(root: string, id = 'latest', source?: string): BuildRecord {
  const files = listBuildFiles(root).filter((file) => source === undefined || file.source === source);
  const wanted = id === 'latest' ? files : files.filter((file) => file.id.startsWith(id));
  for (const file of wanted) {
    const record = readBuild(file);
    if (id !== 'latest' && wanted.length > 1 && file.id !== id) break;
    if (record !== undefined) return record;
  }
  if (id !== 'latest' && wanted.length > 1) {
    throw new BuildError('BUILD_NOT_FOUND', `several builds have an id that begins with \`${id}\``, {
      hint: `give more of it: ${wanted
        .slice(0, 5)
        .map((file) => file.id)
        .join(', ')}`,
    });
  }
  const message =
    id === 'latest'
      ? source === undefined
        ? 'the history has no build'
        : 'the history has no build of this Dockerfile and context'
      : `the history has no build \`${id}\``;
  throw new BuildError('BUILD_NOT_FOUND', message, {
    hint:
      id === 'latest'
        ? 'build it first; `tsbuild explain --dry-run .` tells what a build would do'
        : 'see `tsbuild builds ls`',
  });
}

/**
 * The steps that a text means: a number, `stage k/n`, `Dockerfile:LINE`, `:LINE`, or a part of the name. Throws BUILD_NOT_FOUND when it
 * means none.
 */
export function chooseSteps<S extends BuildStep>(
  steps: readonly S[],
  text: string | undefined,
  build?: Pick<BuildRecord, 'id' | 'dockerfile' | 'context'>,
): readonly S[] {
  if (text === undefined) return steps;
  const chosen = steps.filter(chooser(text.trim()));
  if (chosen.length > 0) return chosen;
  const own = steps.filter(({ number }) => number > 0);
  const lines = [...new Set(own.flatMap(({ line }) => line ?? []))].slice(0, 50);
  // Which build was looked at: the last one may be another project's.
  const of =
    build === undefined ? 'the build' : `build ${build.id} (${build.dockerfile} in ${build.context})`;
  throw new BuildError('BUILD_NOT_FOUND', `${of} has no step \`${text}\``, {
    hint:
      /:\d+$/.test(text) && lines.length > 0
        ? `its steps begin on line ${lines.join(', ')}; the other instructions make none`
        : own.length === 0
          ? 'it has no steps: it ended before the first, or its Dockerfile has none'
          : `it has ${own.length}: give a number of \`tsbuild explain\`, \`stage k/n\`, \`Dockerfile:LINE\` or a part of the name`,
  });
}

function chooser(text: string): (step: BuildStep) => boolean {
  if (/^\d+$/.test(text)) return ({ number }) => number === Number(text);
  const [, file = '', line] = /^(.*):(\d{1,9})$/s.exec(text) ?? [];
  if (line !== undefined) {
    const at = Number(line);
    return (step) =>
      step.line !== undefined &&
      step.line <= at &&
      at <= (step.endLine ?? step.line) &&
      (file === '' ||
        step.file === file ||
        step.file?.endsWith(`/${file}`) === true ||
        file.endsWith(`/${step.file}`));
  }
  const position = /^\[?(.*?\s*\d+\/\d+)\]?$/.exec(text)?.[1]?.replace(/\s+/g, ' ').toLowerCase();
  if (position !== undefined) {
    return ({ name }) =>
      /^\[([^\]]*)\]/.exec(name)?.[1]?.replace(/\s+/g, ' ').trim().toLowerCase() === position;
  }
  const part = text.toLowerCase();
  return ({ name }) => name.toLowerCase().includes(part);
}
