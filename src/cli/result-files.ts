import { accessSync, constants, lstatSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeError } from '../util/system-error.ts';
import type { BuildResult } from '../index.ts';
import type { BuildFlags } from './build-flags.ts';

type ResultFiles = Pick<BuildFlags, 'iidfile' | 'metadataFile'>;

/**
 * A file of an earlier build must not stand for this one when it fails; and a build of an hour must not end with a file that could never have been
 * written. Throws OUTPUT_FAILED.
 */
export function removeResultFiles({ iidfile, metadataFile }: ResultFiles): void {
  for (const file of [iidfile, metadataFile]) if (file !== undefined) writing(file, () => removePlain(file));
}

/** --iidfile and --metadata-file. Throws OUTPUT_FAILED, DISK_FULL. */
export function writeResultFiles(flags: ResultFiles, result: BuildResult): void {
  const { iidfile, metadataFile } = flags;
  const { imageId } = result;
  if (iidfile !== undefined && imageId !== undefined) writing(iidfile, () => writeFileSync(iidfile, imageId));
  if (metadataFile !== undefined) {
    writing(metadataFile, () =>
      writeFileSync(metadataFile, `${JSON.stringify(result.metadata, undefined, 2)}\n`),
    );
  }
}

/** A device, a pipe or a link (/dev/stdout, /dev/null) keeps its place: it holds nothing of an earlier build, and is written through. */
function removePlain(file: string): void {
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
  if (found === undefined || found.isFile()) accessSync(dirname(file), constants.W_OK);
  if (found?.isFile() === true) rmSync(file, { force: true });
}

function writing(file: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw writeError(`\`${file}\``, cause);
  }
}
