import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { command, must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

suite('a build context of 20,000 files', [tool('strace')], () => {
  test('no file is opened when nothing has changed; one that has changed is read to know it', async () => {
    await using work = await tempFolder('context');
    const context = join(work.path, 'context');
    for (let index = 0; index < 20_000; index += 1) {
      const directory = join(context, 'src', `d${Math.floor(index / 100)}`);
      if (index % 100 === 0) mkdirSync(directory, { recursive: true });
      writeFileSync(join(directory, `f${index}`), `${index}`);
    }
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY src /src\n');
    const build = ['--root', join(work.path, 'store'), '-q', '-o', 'type=cacheonly', context];
    const opened = async (): Promise<string[]> => {
      const log = join(work.path, 'strace');
      const calls = 'open,openat,openat2';
      await must(
        command('strace', [
          '-f',
          '--seccomp-bpf',
          '-qq',
          '-e',
          `trace=${calls}`,
          '-o',
          log,
          process.execPath,
          binary,
          ...build,
        ]),
      );
      const lines = readFileSync(log, 'utf8').split('\n');
      return lines.filter((line) => line.includes(`${context}/src`) && !line.includes('O_DIRECTORY'));
    };
    // Files that were just written are not trusted.
    await sleep(100);
    await must(tsbuild(build));
    expect(await opened()).toEqual([]);
    writeFileSync(join(context, 'src/d7/f700'), 'other');
    const lines = await opened();
    // Once to know it, and each once to copy it.
    expect(lines.filter((line) => line.includes('/src/d7/f700"'))).toHaveLength(2);
    expect(lines).toHaveLength(20_001);
  });
});
