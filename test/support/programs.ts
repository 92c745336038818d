import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { requireTool } from './require.ts';

/**
 * Copies programs of the host with the libraries that they are linked to into one directory, for a root filesystem that has none: in it,
 * `<directory>/run NAME ARGS...` runs them.
 */
export function copyPrograms(names: readonly string[], directory: string): void {
  mkdirSync(directory, { recursive: true });
  let loader = '';
  for (const path of names.map(requireTool)) {
    copyFileSync(path, join(directory, basename(path)));
    for (const [, library = ''] of execFileSync('ldd', [path], { encoding: 'utf8' }).matchAll(
      /(\/\S+) \(/g,
    )) {
      copyFileSync(library, join(directory, basename(library)));
      if (basename(library).startsWith('ld-')) loader = basename(library);
    }
  }
  const here = '"${0%/*}"';
  const run = `#!/bin/sh\nname=$1; shift\nexec ${here}/${loader} --library-path ${here} ${here}/$name "$@"\n`;
  writeFileSync(join(directory, 'run'), run);
  chmodSync(join(directory, 'run'), 0o755);
}
