import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { command, must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

/** A context that has been built once; `opened` builds it again, and says which of its files were opened for that. */
async function builtContext(
  work: string,
  count: number,
): Promise<{ readonly context: string; readonly opened: () => Promise<readonly string[]> }> {
  const context = join(work, `context-${count}`);
  for (let index = 0; index < count; index += 1) {
    const directory = join(context, 'src', `d${Math.floor(index / 100)}`);
    if (index % 100 === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `f${index}`), `${index}`);
  }
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY src /src\n');
  const build = ['--root', join(work, `store-${count}`), '-q', '-o', 'type=cacheonly', context];
  // Files that were just written are not trusted.
  await sleep(100);
  await must(tsbuild(build));
  const opened = async (): Promise<readonly string[]> => {
    const log = join(work, 'strace');
    const how = ['-f', '--seccomp-bpf', '-qq', '-e', 'trace=open,openat,openat2', '-o', log];
    await must(command('strace', [...how, process.execPath, binary, ...build]));
    const lines = readFileSync(log, 'utf8').split('\n');
    return lines.filter((line) => line.includes(`${context}/src`) && !line.includes('O_DIRECTORY'));
  };
  return { context, opened };
}

suite('the files of a build context', [tool('strace')], () => {
  test('none of 20,000 is opened when nothing has changed', async () => {
    await using work = await tempFolder('context');
    const { opened } = await builtContext(work.path, 20_000);
    expect(await opened()).toEqual([]);
  });

  test('one that has changed is read to know it', async () => {
    await using work = await tempFolder('context');
    const { context, opened } = await builtContext(work.path, 1000);
    expect(await opened()).toEqual([]);
    writeFileSync(join(context, 'src/d7/f700'), 'other');
    const lines = await opened();
    // Once to know it, and each once to copy it.
    expect(lines.filter((line) => line.includes('/src/d7/f700"'))).toHaveLength(2);
    expect(lines).toHaveLength(1001);
  });
});
