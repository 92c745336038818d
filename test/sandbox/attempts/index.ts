import type { Attempt } from '../attempt.ts';
import { archives } from './archives.ts';
import { hostView } from './host-view.ts';
import { images } from './images.ts';
import { kernelCalls } from './kernel-calls.ts';
import { kernelFiles } from './kernel-files.ts';
import { mounts } from './mounts.ts';
import { rights } from './rights.ts';

/** All of them, by family. */
export const families: Readonly<Record<string, readonly Attempt[]>> = {
  'calls to the kernel': kernelCalls,
  'files of the kernel': kernelFiles,
  "the host's processes": hostView,
  'rights of processes': rights,
  'hostile images': images,
  'mounts and working directories': mounts,
  'archives of layers': archives,
};

export const attempts: readonly Attempt[] = Object.values(families).flat();
