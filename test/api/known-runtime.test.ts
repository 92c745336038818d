import { chmodSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { knownRuntime } from '../../src/api/known-runtime.ts';
import { build } from '../../src/index.ts';
import { tempFolder } from '../support/temp.ts';

describe('--runtime', () => {
  test('names that tsbuild knows need not be installed', async () => {
    for (const name of ['crun', 'runc', 'youki', 'embedded', undefined])
      expect(await knownRuntime(name)).toBe(name);
  });

  test('a path is made absolute', async () => {
    await using folder = await tempFolder('runtime');
    const program = join(folder.path, 'my-runtime');
    writeFileSync(program, '');
    chmodSync(program, 0o755);
    expect(await knownRuntime(program)).toBe(program);
    expect(await knownRuntime(`./${relative(process.cwd(), program)}`)).toBe(program);
  });

  test.each([
    ['foo', 'there is no runtime `foo`'],
    ['', 'there is no runtime ``'],
    ['true', 'there is no runtime `true`'],
    ['/no/such/runtime', 'the runtime `/no/such/runtime` is not a program that can be executed'],
    ['/etc/passwd', 'the runtime `/etc/passwd` is not a program that can be executed'],
    ['/usr', 'the runtime `/usr` is not a program that can be executed'],
  ])('`%s` is refused', async (runtime, message) => {
    await expect(knownRuntime(runtime)).rejects.toMatchObject({ code: 'USAGE', message, exitStatus: 2 });
  });

  test('it is refused where no step needs a runtime, or all are known', async () => {
    await using folder = await tempFolder('runtime');
    const options = {
      ...{ context: folder.path, root: join(folder.path, 'store'), env: {} },
      dockerfile: { text: 'FROM scratch\nENV A=1' },
    };
    await build(options);
    await expect(build({ ...options, runtime: 'foo' })).rejects.toMatchObject({ code: 'USAGE' });
  });
});
