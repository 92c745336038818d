import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FailedRun, ShellOptions } from '../../src/index.ts';
import { BuildError, shell } from '../../src/index.ts';
import { requireTool, suite, tool } from '../support/require.ts';
import { runtimes } from './executor-steps.ts';
import type { Steps } from './language/steps.ts';
import { openSteps } from './language/steps.ts';

interface Look {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command in a shell says. */
async function look(options: Omit<ShellOptions, 'onOutput'>): Promise<Look> {
  const output = { stdout: '', stderr: '' };
  const { exitCode } = await shell({
    env: { PATH: process.env['PATH'] ?? '' },
    network: 'none',
    ...options,
    onOutput: (stream, data) => {
      output[stream] += Buffer.from(data).toString();
    },
  });
  return { exitCode, ...output };
}

const dockerfile = `# syntax=docker/dockerfile:1
ARG BASE=base
FROM \${BASE} AS one
ENV A=1
ARG B=two

WORKDIR /w
RUN echo hi >f
RUN --mount=type=cache,target=/c \\
    --mount=type=tmpfs,target=/t,size=64k \\
    --mount=type=bind,target=/ctx \\
    --mount=type=secret,id=s,env=S \\
    echo \${B} >g; cat /proc/sys/kernel/random/uuid >once; echo kept >/c/kept

FROM one
USER app
RUN RNU
`;

suite('M-4: a shell at any line', ['root', tool('runc')], () => {
  describe.each(runtimes)('on %s', (runtime) => {
    let steps: Steps;
    let place: Pick<ShellOptions, 'root' | 'context' | 'runtime' | 'sourceDateEpoch' | 'secrets'>;
    const at = (line: number, command: string, options: ShellOptions = {}): Promise<Look> =>
      look({ ...place, dockerfile: { text: dockerfile }, line, command, ...options });
    beforeAll(async () => {
      steps = await openSteps('shell', runtime);
      writeFileSync(join(steps.context, 'here'), '');
      const secrets = [{ id: 's', value: 'a-secret' }];
      place = { root: join(steps.path, 'store'), context: steps.context, runtime, secrets };
    });
    afterAll(async () => {
      await steps[Symbol.asyncDispose]();
    });

    test('it shows what there is after an instruction, and before it', async () => {
      const show = 'pwd; ls -A; echo $A $B';
      const said = async (line: number, before?: boolean): Promise<string> =>
        (await at(line, show, { before })).stdout;
      const files = /^bin$/m;
      expect(await said(3)).toMatch(files);
      expect(await said(4)).toMatch(/\n1\n$/);
      expect(await said(5)).toMatch(/\n1 two\n$/);
      expect(await said(5, true)).toMatch(/\n1\n$/);
      // An empty line is after the one and before the other.
      expect(await said(6)).toMatch(/^\/\nbin\n/);
      expect(await said(7, true)).toMatch(/^\/\nbin\n/);
      expect(await said(7)).toBe('/w\n1 two\n');
      expect(await said(8, true)).toBe('/w\n1 two\n');
      expect(await said(8)).toBe('/w\nf\n1 two\n');
      expect(await said(14)).toBe('/w\nf\ng\nonce\n1 two\n');
      expect((await at(16, 'id -un')).stdout).toBe('app\n');
      expect((await at(17, 'id -un', { before: true })).stdout).toBe('app\n');
    });

    test('it has the mounts of the RUN on its line, and runs that not again', async () => {
      const once = (await at(13, 'cat once')).stdout;
      expect(once).toMatch(/^[0-9a-f-]{36}\n$/);
      expect((await at(9, 'cat once')).stdout).toBe(once);
      const show = "cat /c/kept; ls -A /ctx /t; df -k /t | tail -n1 | awk '{print $2}'; echo $S";
      expect((await at(10, show)).stdout).toBe('kept\n/ctx:\nhere\n\n/t:\n64\na-secret\n');
      expect((await at(10, `${show}; ls -A /w`, { before: true })).stdout).toBe(
        'kept\n/ctx:\nhere\n\n/t:\n64\na-secret\nf\n',
      );
    });

    test('what it writes is gone, and its status is that of the shell', async () => {
      const { exitCode, stdout } = await at(8, 'echo more >>f; cat f; exit 7');
      expect([exitCode, stdout]).toEqual([7, 'hi\nmore\n']);
      expect((await at(8, 'cat f')).stdout).toBe('hi\n');
    });

    test('it opens at stages, at the end and in images', async () => {
      const text = `${dockerfile}\nFROM scratch AS empty\nFROM one\nENV Z=end`;
      const options = { ...place, dockerfile: { text } };
      const show = 'echo $Z $A $B; ls -A';
      expect((await look({ ...options, command: show, target: 'ONE' })).stdout).toBe('1 two\nf\ng\nonce\n');
      expect((await look({ ...options, command: show })).stdout).toBe('end 1 two\nf\ng\nonce\n');
      const image = await look({ ...place, image: 'base', command: 'ls -d /bin; exit 3' });
      expect([image.exitCode, image.stdout]).toEqual([3, '/bin\n']);
      await expect(look({ ...options, target: 'empty', command: 'true' })).rejects.toMatchObject({
        code: 'STEP_START',
      });
    });

    test('a line where nothing is, or that cannot be built, is told', async () => {
      const code = (line: number, options?: ShellOptions): Promise<string> =>
        at(line, 'true', options).then(
          () => 'it opens',
          (error: unknown) =>
            error instanceof BuildError ? `${error.code} ${error.message}` : String(error),
        );
      expect(await code(2)).toBe('USAGE line 2 of Dockerfile is before the first FROM');
      expect(await code(3, { before: true })).toBe('USAGE there is nothing before the FROM on line 3');
      expect(await code(18)).toBe('USAGE Dockerfile has no line 18');
      expect(await code(0)).toBe('USAGE Dockerfile has no line 0');
      expect(await code(17)).toMatch(/^STEP_FAILED .*exit code: 127/);
      // A fault of a later line is in nobody’s way.
      const faulty = { dockerfile: { text: 'FROM base\nENV A=1\nNOPE\n' } };
      expect((await at(2, 'echo $A', faulty)).stdout).toBe('1\n');
      expect(await code(3, faulty)).toMatch(/^DOCKERFILE_UNKNOWN_INSTRUCTION/);
    });

    test('CVE-2024-23653: a line asks for no more rights than a build may give', async () => {
      const text = 'FROM base\nRUN --security=insecure true\nRUN --network=host true\n';
      for (const line of [2, 3])
        await expect(at(line, 'true', { dockerfile: { text } })).rejects.toMatchObject({
          code: 'ENTITLEMENT_REQUIRED',
        });
      const allow = ['security.insecure', 'network.host'];
      const effective = "sed -n 's/^CapEff:.//p' /proc/self/status";
      const insecure = await at(2, effective, { dockerfile: { text }, allow });
      const sandboxed = await at(1, effective, { dockerfile: { text }, allow });
      expect(Number.parseInt(insecure.stdout, 16)).toBeGreaterThan(Number.parseInt(sandboxed.stdout, 16));
      expect(sandboxed.stdout).toBe('00000000a80425fb\n');
    });

    test('a failed step: its files as it left them, its mounts, environment, user and directory', async () => {
      const said: string[] = [];
      const open = async (step: FailedRun): Promise<void> => {
        said.push(step.name, step.error.message);
        const command = 'id -un; pwd; cat f gone; ls /c /t; echo $A $B $S; touch here && ls; exit 9';
        // Each by itself: which of the two comes first nobody says.
        const output = { stdout: '', stderr: '' };
        const onOutput = (stream: 'stdout' | 'stderr', data: Uint8Array): void => {
          output[stream] += Buffer.from(data).toString();
        };
        const { exitCode } = await step.shell({ command, onOutput });
        said.push(output.stdout, output.stderr, String(exitCode));
      };
      const text = [
        'ENV A=1',
        'ARG B=two',
        'WORKDIR /w',
        'RUN echo old >gone; echo old >f; chown -R app .; mkdir -p /d/e; touch /d/e/old',
        'USER app',
        `RUN --mount=type=cache,target=/c,uid=1000,id=failed --mount=type=tmpfs,target=/t --mount=type=secret,id=s,env=S \\
           rm gone; echo new >f; echo by $A $B >/tmp/x; ln -s /tmp/x /w/l; touch /c/made /t/lost; exit 3`,
      ].join('\n');
      const error = await steps.error(text, {
        secrets: [{ id: 's', value: 'a-secret' }],
        onFailedStep: open,
      });
      expect(error.message).toMatch(/exit code: 3$/);
      expect(said.slice(0, 2)).toEqual([expect.stringMatching(/\] RUN --mount=type=cache/), error.message]);
      const [stdout, stderr, exitCode] = said.slice(2);
      expect(stdout).toContain('app\n/w\nnew\n');
      expect(stdout).toContain('/c:\nmade\n\n/t:\n1 two a-secret\nf\nhere\nl\n');
      expect(stderr).toContain("can't open 'gone'");
      expect(exitCode).toBe('9');
      // Nothing of the step is left behind.
      expect(readdirSync(join(steps.path, 'store/snapshots'))).toEqual([]);
    });

    test('of several that fail the first is shown; the others are stopped before', async () => {
      const names: string[] = [];
      const states: string[] = [];
      const text = [
        'FROM base AS a\nRUN sleep 0.2; exit 4',
        'FROM base AS b\nRUN sleep 0.2; exit 5',
        'FROM base AS c\nRUN sleep 60',
        'FROM base\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from=c / /\n',
      ].join('\n');
      const error = await steps.error(text, {
        parallelism: 3,
        onEvent: (event) => {
          if (event.type === 'vertex' && event.name.includes('sleep 60')) states.push(event.state);
        },
        onFailedStep: async (step) => {
          names.push(`${step.name}: ${step.error.message}`);
          while (!states.includes('cancelled')) await new Promise((resolve) => setTimeout(resolve, 10));
          expect((await step.shell({ command: 'sleep 0.1; exit 0' })).exitCode).toBe(0);
        },
      });
      expect(names).toHaveLength(1);
      expect(names[0]).toContain(error.message);
      expect(error.message).toMatch(/exit code: [45]$/);
    });

    test('without a shell in the image the step’s own error stays', async () => {
      const reasons: unknown[] = [];
      const error = await steps.error('RUN rm -rf /bin/sh /usr/bin; exit 2', {
        onFailedStep: async (step) => {
          await step.shell({ command: 'true' }).catch((reason: unknown) => reasons.push(reason));
        },
      });
      expect(error.message).toMatch(/exit code: 2$/);
      expect(reasons).toEqual([expect.objectContaining({ code: 'STEP_START' })]);
    });
  });
});

suite('CVE-2024-23653: one sandbox for steps and shells', ['root', tool('runc')], () => {
  test('the config.json of a shell is that of the step but for arguments and terminal', async () => {
    await using steps = await openSteps('same');
    const seen = join(steps.path, 'seen');
    mkdirSync(seen);
    // Keeps what it is asked to run. The directory is the word behind --bundle.
    const runtime = join(steps.path, 'runc-and-tell');
    writeFileSync(
      runtime,
      `#!/bin/sh
for word in "$@"; do [ "$before" = --bundle ] && bundle=$word; before=$word; done
grep -q mark-of-the-test "$bundle/config.json" && cp "$bundle/config.json" "${seen}/$(date +%s%N).json"
exec ${requireTool('runc')} "$@"
`,
    );
    chmodSync(runtime, 0o755);
    const socket = join(steps.path, 'agent.sock');
    const { createServer } = await import('node:net');
    const server = createServer().listen(socket);
    const options = {
      runtime,
      secrets: [{ id: 's', value: 'mark-of-the-test' }],
      ssh: [{ id: 'default', paths: [socket] }],
      shmSize: 1 << 20,
      ulimits: [{ name: 'nofile', soft: 100, hard: 200 }],
      addHosts: ['a.test:1.2.3.4'],
      buildArgs: { HTTP_PROXY: 'http://proxy.test' },
      allow: ['security.insecure', 'network.host'],
    };
    const flags = [
      ...['--security=insecure', '--network=host', '--mount=type=secret,id=s,env=S,target=/run/s'],
      ...['--mount=type=ssh', '--mount=type=cache,target=/c', '--mount=type=tmpfs,target=/t,size=64k'],
      ...['--mount=type=bind,target=/ctx', '--mount=type=bind,from=base,target=/other,rw'],
    ].join(' ');
    const configs = (): { process: { args: string[]; terminal: boolean } }[] =>
      readdirSync(seen).map((name) => JSON.parse(readFileSync(join(seen, name), 'utf8')) as never);
    const text = `ENV A=1\nUSER app:extra\nWORKDIR /w\nRUN ${flags} false`;
    await steps.error(text, {
      ...options,
      onFailedStep: async (step) => void (await step.shell({ command: 'true' })),
    });
    const place = { root: join(steps.path, 'store'), context: steps.context };
    await look({
      ...{ ...place, ...options, line: 5, before: true, command: 'true' },
      dockerfile: { text: `FROM base\n${text}` },
    });
    server.close();
    expect(existsSync(socket)).toBe(false);
    const same = configs().map((config) => {
      const plain = JSON.stringify({ ...config, process: { ...config.process, args: [], terminal: false } });
      // Directories and ids of one execution.
      return plain.replaceAll(/[0-9a-f]{12,16}|bind-\w+/g, '#');
    });
    expect(same).toHaveLength(3);
    expect(new Set(same).size).toBe(1);
    const args = configs().map(({ process }) => process.args.join(' '));
    expect(args.toSorted()).toEqual(['/bin/sh -c false', 'sh -c true', 'sh -c true']);
  });
});
