import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { requireTool } from './require.ts';

/**
 * Copies programs of the host with the libraries that they are linked to into one directory, for a root filesystem that has none:
 * `<directory>/bin` is for PATH there.
 */
export function copyPrograms(names: readonly string[], directory: string): void {
  mkdirSync(join(directory, 'bin'), { recursive: true });
  for (const name of names) {
    const path = requireTool(name);
    copyFileSync(path, join(directory, name));
    let loader = '';
    for (const [, library = ''] of execFileSync('ldd', [path], { encoding: 'utf8' }).matchAll(
      /(\/\S+) \(/g,
    )) {
      copyFileSync(library, join(directory, basename(library)));
      if (basename(library).startsWith('ld-')) loader = basename(library);
    }
    const here = '"${0%/*}"/..';
    const start = `#!/bin/sh\nexec ${here}/${loader} --library-path ${here} ${here}/${name} "$@"\n`;
    writeFileSync(join(directory, 'bin', name), start);
    chmodSync(join(directory, 'bin', name), 0o755);
  }
}
