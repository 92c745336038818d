/**
 * Writes the numbers of the calls in src/executor/seccomp-table.ts anew: `npm run syscalls -- FOLDER`. Which calls may be made is said
 * there, by name, and by us; the numbers come from the kernel's own headers in FOLDER, which has a folder for each architecture
 * (`make headers` in a kernel tree for each of x86, arm64 and arm; or /usr/lib/linux/uapi of Debian's linux-libc-dev since 6.12, from
 * which those of Linux 7.2 were taken). A name that no architecture has is an error.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../support/paths.ts';

const tablePath = join(projectRoot, 'src/executor/seccomp-table.ts');

/** In the order of the table's columns. */
const headers = {
  x64: 'x86/asm/unistd_64.h',
  x32: 'x86/asm/unistd_x32.h',
  x86: 'x86/asm/unistd_32.h',
  arm64: 'arm64/asm/unistd_64.h',
  arm: 'arm/asm/unistd-eabi.h',
} as const;

/** Calls of ARM's own, which its headers count from here (__ARM_NR_BASE). */
const ARM_BASE = 0x0f_0000;

/** Numbers by name, without the bit that marks x32. */
function readNumbers(file: string): ReadonlyMap<string, number> {
  const text = readFileSync(file, 'utf8');
  const definition = /^#define __NR_(\w+)\s+(?:\d+$|\(?__(?:X32_SYSCALL_BIT|NR_SYSCALL_BASE) ?\+ ?\d+\)?)/gm;
  return new Map(
    [...text.matchAll(definition)].map(([line, name = '']) => [name, Number(/(\d+)\)?$/.exec(line)?.[1])]),
  );
}

function main(folder: string): void {
  const columns = Object.values(headers).map((file) => readNumbers(join(folder, file)));
  const armOwn = readFileSync(join(folder, 'arm/asm/unistd.h'), 'utf8');
  for (const [, name = '', number] of armOwn.matchAll(
    /^#define __ARM_NR_(\w+)\s+\(__ARM_NR_BASE ?\+ ?(\d+)\)/gm,
  ))
    (columns.at(-1) as Map<string, number>).set(name, ARM_BASE + Number(number));
  const source = readFileSync(tablePath, 'utf8');
  const written = source.replace(/(?<=^const table = `\n)[^`]*/m, (table) => {
    const names = table.split(/\s+/).filter((row) => row !== '');
    return wrap(names.map((row) => rowOf(row.split(':', 1)[0] ?? '', columns)).toSorted());
  });
  writeFileSync(tablePath, written);
}

function rowOf(name: string, columns: readonly ReadonlyMap<string, number>[]): string {
  const numbers = columns.map((column) => column.get(name));
  if (numbers.every((number) => number === undefined)) throw new Error(`no kernel header knows ${name}`);
  return [name, ...numbers.map((number) => number ?? '')].join(':');
}

function wrap(rows: readonly string[]): string {
  const lines = [''];
  for (const row of rows) {
    const line = lines.at(-1) ?? '';
    if (line.length + row.length > 120) lines.push(row);
    else lines[lines.length - 1] = line === '' ? row : `${line} ${row}`;
  }
  return `${lines.join('\n')}\n`;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: npm run syscalls -- FOLDER');
main(folder);
