import { createReadStream, existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { defaultStoreRoot } from '../store/store.ts';
import { BuildError } from '../util/build-error.ts';
import { inWords } from '../util/system-error.ts';
import type { BuildRecord, BuildsOptions, BuildStep } from './build-record.ts';
import { listBuildFiles, logFile, removeBuildFiles } from './history/build-files.ts';
import { chooseSteps, findBuild, readBuild } from './history/find-build.ts';
import type { CommonOptions } from './types.ts';

/** The builds of the history, newest first; what is damaged is left out. Reads each whole. */
export function listBuilds(options: CommonOptions): Promise<readonly BuildRecord[]> {
  return Promise.resolve(listBuildFiles(rootOf(options)).flatMap((file) => readBuild(file) ?? []));
}

/** One build with its steps. Throws BUILD_NOT_FOUND. */
export async function inspectBuild(options: BuildsOptions): Promise<BuildRecord> {
  return Promise.resolve(options).then(({ build }) => findBuild(rootOf(options), build));
}

/** The whole output of one step, stdout and stderr as they came, secrets masked. */
export interface StepLog {
  readonly step: BuildStep;
  read(): AsyncIterable<Uint8Array>;
}

/** The output of the steps of a build that had any; `step` as for `explain`. Throws BUILD_NOT_FOUND. */
export async function buildLogs(
  options: BuildsOptions & { readonly step?: string | undefined },
): Promise<readonly StepLog[]> {
  const root = rootOf(options);
  const record = await inspectBuild(options);
  return (
    chooseSteps(record.steps, options.step, record)
      .map((step) => ({ step, path: logFile(root, record.id, step.number) }))
      // Of a build that was killed the record may be older than its logs.
      .filter(({ path }) => existsSync(path))
      .map(({ step, path }) => ({ step, read: () => readLog(path) }))
  );
}

/** Removes builds from the history, all where none is named; those that are running stay. Returns the ids. Throws BUILD_NOT_FOUND. */
export async function removeBuilds(
  options: CommonOptions & { readonly builds?: readonly string[] | undefined },
): Promise<readonly string[]> {
  const root = rootOf(options);
  const named = await Promise.all(
    (options.builds ?? []).map(async (build) => (await inspectBuild({ ...options, build })).id),
  );
  const removed: string[] = [];
  for (const file of listBuildFiles(root)) {
    if (options.builds !== undefined && !named.includes(file.id)) continue;
    if (readBuild(file)?.status === 'running') {
      if (options.builds === undefined) continue;
      throw new BuildError('BUILD_NOT_FOUND', `the build \`${file.id}\` is still running`);
    }
    removeBuildFiles(root, file);
    removed.push(file.id);
  }
  return removed;
}

async function* readLog(path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Uint8Array;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new BuildError('STORE_FAILED', `${path} cannot be read: ${inWords(error)}`, { cause: error });
  }
}

function rootOf({ root, env = process.env }: CommonOptions): string {
  return resolve(root ?? defaultStoreRoot(env));
}
