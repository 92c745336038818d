import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const projectRoot: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export const examples: string = join(projectRoot, 'examples');
export const binary: string = join(projectRoot, 'bin/tsbuild.js');
