import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Agent, PlanError } from '../../src/host/agent/agent.ts';
import { becomes, deathTie } from '../../src/host/agent/items.ts';
import type { PlanItem } from '../../src/host/agent/plan.ts';
import { BUFFER_SIZE, code } from '../../src/host/agent/program.ts';
import { command, must } from '../support/cli.ts';
import { projectRoot } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

const assemblers = { x64: '', arm64: 'aarch64-linux-gnu-' } as const;

suite(
  "the agent's machine code",
  [tool('as', 'binutils'), tool('aarch64-linux-gnu-as', 'binutils-aarch64-linux-gnu')],
  () => {
    test.each(Object.entries(assemblers))(
      'for %s is what the assembler makes of its text',
      async (arch, prefix) => {
        await using folder = await tempFolder('agent');
        const [object, bytes] = [join(folder.path, 'agent.o'), join(folder.path, 'agent')];
        await must(command(`${prefix}as`, [join(projectRoot, `src/host/agent/${arch}.s`), '-o', object]));
        await must(command(`${prefix}objcopy`, ['-O', 'binary', '-j', '.text', object, bytes]));
        expect(code[arch as keyof typeof code]).toBe(readFileSync(bytes).toString('base64'));
      },
    );
  },
);

suite('an agent', ['linux'], () => {
  const start = (): Agent =>
    new Agent({ cwd: '/', stdio: ['ignore', 'pipe', 'ignore', 'pipe'], detached: false });
  const ended = (agent: Agent): Promise<unknown> =>
    new Promise((resolve) => {
      agent.child.once('exit', (status, signal) => resolve(status ?? signal));
    });
  const umask: PlanItem = { name: 'umask', args: [0o027], what: 'umask' };
  const nowhere: PlanItem = { name: 'chdir', args: ['/no/such/place'], what: 'entering' };

  test('makes calls in their order, and says the last result', async () => {
    const agent = start();
    await agent.execute([umask]);
    expect(await agent.execute([umask, { ...umask, args: [0o077] }])).toBe(0o027n);
    const end = ended(agent);
    agent.letGo();
    expect(await end).toBe(125);
  });

  test('stops at the first call that fails, and names it; goes on after those that may', async () => {
    const agent = start();
    await expect(agent.execute([umask, nowhere, { ...umask, args: [0] }])).rejects.toThrow(
      new PlanError('entering', 2, 'chdir'),
    );
    expect(await agent.execute([umask])).toBe(0o027n);
    expect(await agent.execute([{ ...nowhere, ignore: 2 }, umask])).toBe(0o027n);
    expect(await agent.execute([{ ...nowhere, ignore: 'any' }, umask])).toBe(0o027n);
    await expect(agent.execute([{ ...nowhere, ignore: 1 }])).rejects.toMatchObject({ code: 'ENOENT' });
    agent.letGo();
  });

  describe('becomes a program', () => {
    const shell = (script: string): PlanItem => becomes('/bin/sh', ['sh', '-c', script], ['WORD=it is']);
    test.each([
      ['exit 7', 7],
      ['kill -9 $$', 128 + 9],
      ['exit 0', 0],
    ])('in a new process, whose end is its own: %s', async (script, status) => {
      const agent = start();
      const end = ended(agent);
      expect(await agent.execute(['fork', deathTie, shell(script)].slice(0, 2) as PlanItem[])).toBe(0n);
      void agent.execute([shell(script)]);
      expect(await end).toBe(status);
    });

    test('with arguments and environment as they are given', async () => {
      const agent = start();
      let said = '';
      agent.child.stdout?.on('data', (data) => (said += String(data)));
      const end = ended(agent);
      void agent.execute([shell('printf "%s|" "$WORD"; env | wc -l; ls /proc/self/fd | wc -l')]);
      expect(await end).toBe(0);
      // PWD is the shell's own.
      expect(said).toMatch(/^it is\|2\n/);
    });
  });

  test('dies with its orders, and refuses what it cannot take', async () => {
    const agent = start();
    const long = becomes('/bin/true', ['x'.repeat(BUFFER_SIZE)], []);
    await expect(agent.execute([long])).rejects.toThrow(RangeError);
    await expect(agent.execute([becomes('/bin/true', ['a\0b'], [])])).rejects.toThrow(TypeError);
    const end = ended(agent);
    agent.letGo();
    expect(await end).toBe(125);
  });
});
