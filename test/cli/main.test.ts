import { lstatSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type * as api from '../../src/index.ts';
import type { ImageDetails, ImageSummary, RunOptions } from '../../src/index.ts';
import { verbs } from '../../src/cli/verbs.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { expectGolden } from '../support/golden.ts';
import { buildResult, digest, imageId, runCli } from './fake-context.ts';
import { goodBuild } from './events.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-cli-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const summary: ImageSummary = {
  name: 'docker.io/library/app:1.0',
  digest,
  imageId,
  created: '2020-01-01T00:00:00Z',
  size: 12_345_678,
  platform: 'linux/amd64',
};
const details: ImageDetails = {
  ...summary,
  names: ['docker.io/library/app:1.0', 'docker.io/library/app:2', 'reg.example:5000/u/app:1.0'],
  descriptor: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 500 },
  manifest: {},
  config: {
    created: '2020-01-01T00:00:00Z',
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/bin/sh'] },
    rootfs: { type: 'layers', diff_ids: [digest] },
  },
};

describe('help', () => {
  test('of the whole and of every verb', async () => {
    const parts = [(await runCli(['--help'])).stdout];
    for (const verb of Object.keys(verbs)) {
      const help = await runCli([verb, '--help']);
      expect(help).toMatchObject({ status: 0, stderr: '' });
      expect((await runCli(['help', verb])).stdout).toBe(help.stdout);
      parts.push(help.stdout);
    }
    expectGolden('cli/help.txt', parts.join('\n'));
    expect((await runCli([])).stdout).toBe(parts[0]);
  });

  test.each([
    ['ps', /keeps no containers/],
    ['image ls', /`tsbuild images`/],
    ['buildx build .', /leave it out/],
    ['system prune', /`tsbuild prune`/],
    ['check', /`tsbuild check \.`/],
    ['graph', /`tsbuild graph \.`/],
    ['run -d alpine', /no `--detach`.*--load/s],
    ['run -p 80:80 alpine', /no `--publish`/],
    ['run --name x alpine', /no `--name`/],
    ['run -it alpine sh', /needs a terminal.*`-i` alone/s],
  ])('what docker has: tsbuild %s', async (words, told) => {
    const { status, stderr } = await runCli(words.split(' '));
    expect(status).toBe(2);
    expect(stderr).toMatch(told);
  });

  test('a word that is missing is shown where it belongs', async () => {
    const hint = async (...argv: readonly string[]): Promise<string | undefined> => {
      const { status, stderr } = await runCli(argv);
      expect(status).toBe(2);
      return / {2}= hint: (.*)/.exec(stderr)?.[1];
    };
    expect(await hint('store')).toBe('write `tsbuild store check [options]`; see `tsbuild store --help`');
    expect(await hint('ls')).toBe('write `tsbuild ls [options] REPOSITORY`; see `tsbuild ls --help`');
    expect(await hint('manifest')).toContain(
      '`tsbuild manifest inspect [options] IMAGE` or `tsbuild manifest create [options] -t NAME IMAGE...`',
    );
  });

  test('an unknown verb is a usage error with a suggestion', async () => {
    for (const argv of [['biuld'], ['help', 'biuld'], ['--root', '/x', 'biuld']]) {
      const result = await runCli(argv);
      expect(result.stderr).toContain('did you mean `build`?');
      expect(result.status).toBe(2);
    }
  });
});

describe('the result of a build', () => {
  const library = { build: async () => buildResult() };

  test('-q: the digest is all there is', async () => {
    expect(await runCli(['-q', '.'], { library })).toEqual({ status: 0, stdout: `${digest}\n`, stderr: '' });
    expect((await runCli(['--progress=quiet', '.'], { library })).stdout).toBe(`${digest}\n`);
  });

  test('without -q stdout stays empty, and stderr ends with digest and names', async () => {
    const result = await runCli(['.'], { library });
    expect(result.stdout).toBe('');
    expect(result.stderr).toMatch(new RegExp(` digest  ${digest}\n name    x:latest\n$`));
  });

  test('--iidfile holds the image id, --metadata-file the metadata', async () => {
    const [iid, metadata] = [join(folder, 'iid'), join(folder, 'meta')];
    await runCli(['--iidfile', iid, '--metadata-file', metadata, '.'], { library });
    expect(readFileSync(iid, 'utf8')).toBe(imageId);
    expect(JSON.parse(readFileSync(metadata, 'utf8'))).toEqual({ 'containerimage.digest': digest });
  });

  test('a failed build leaves no id of an earlier one', async () => {
    const iid = join(folder, 'iid');
    writeFileSync(iid, 'old');
    const failing = { build: () => Promise.reject(new BuildError('STEP_FAILED', 'no')) };
    expect((await runCli(['--iidfile', iid, '.'], { library: failing })).status).toBe(1);
    expect(() => readFileSync(iid)).toThrow('ENOENT');
  });

  test.each(['--iidfile', '--metadata-file', '--logfile'])(
    '%s that could not be written is told before anything runs',
    async (flag) => {
      for (const [path, why] of [
        [join(folder, 'no', 'x'), 'no such file or directory'],
        [folder, 'it is a directory'],
      ] as const) {
        let built = false;
        const { status, stderr } = await runCli([flag, path, '.'], {
          library: {
            build: async () => {
              built = true;
              return buildResult();
            },
          },
        });
        expect([status, built]).toEqual([1, false]);
        expect(stderr).toMatch(/^error\[OUTPUT_FAILED\]: cannot write .*\n {2}= hint: .*\n$/);
        expect(stderr).toContain(`\`${path}\`: ${why}\n`);
      }
    },
  );

  test('where a step has failed on a terminal, it is told once that a shell can be opened there', async () => {
    const failing = (code: 'STEP_FAILED' | 'COPY_SOURCE_MISSING') => ({
      build: () => Promise.reject(new BuildError(code, 'no', { hint: 'look' })),
    });
    const told = async (
      argv: readonly string[],
      terminal: boolean,
      code: 'STEP_FAILED' | 'COPY_SOURCE_MISSING',
    ) =>
      (
        await runCli([...argv, '.'], { library: failing(code), terminal, env: { NO_COLOR: '1' } })
      ).stderr.match(/ {2}= hint: .*/g);
    const hint = ['  = hint: look; `--on-fail=shell` opens a shell there'];
    const plain = ['  = hint: look'];
    const flag = ['--progress=plain'];
    expect(await told(flag, true, 'STEP_FAILED')).toEqual(hint);
    expect(await told(flag, false, 'STEP_FAILED')).toEqual(plain);
    expect(await told(flag, true, 'COPY_SOURCE_MISSING')).toEqual(plain);
    for (const flags of [['-q'], ['--progress=rawjson'], ['--progress=plain', '--on-fail=shell']])
      expect(await told(flags, true, 'STEP_FAILED')).toEqual(plain);
  });

  test('what an id is written through stays: /dev/stdout is a link', async () => {
    const [link, file] = [join(folder, 'link'), join(folder, 'file')];
    writeFileSync(file, 'old');
    symlinkSync(file, link);
    expect((await runCli(['--iidfile', link, '.'], { library })).status).toBe(0);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(readFileSync(file, 'utf8')).toBe(imageId);
  });

  test('BUILDKIT_PROGRESS counts while --progress is auto', async () => {
    const build: typeof api.build = async ({ onEvent }) => {
      for (const event of goodBuild) onEvent?.(event);
      return buildResult();
    };
    const first = async (argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> =>
      (await runCli([...argv, '.'], { env, library: { build } })).stderr.slice(0, 13);
    expect(await first([])).toBe('#1 [internal]');
    expect(await first([], { BUILDKIT_PROGRESS: 'rawjson' })).toBe('{"vertexes":[');
    expect(await first(['--progress', 'plain'], { BUILDKIT_PROGRESS: 'rawjson' })).toBe('#1 [internal]');
    expect(await first(['--progress', 'none'])).toBe('');
    const terminal = { library: { build }, terminal: true };
    expect((await runCli(['.'], terminal)).stderr).toContain('\u001B[');
    expect((await runCli(['.'], { ...terminal, env: { TERM: 'dumb' } })).stderr).not.toContain('\u001B');
  });

  test('an empty line parts the steps from the warnings or the error after them', async () => {
    const diagnostic = { severity: 'warning', rule: 'R', message: 'm' } as const;
    const outcome = (ok: boolean, events: readonly api.ProgressEvent[]): Promise<{ stderr: string }> => {
      const build: typeof api.build = async ({ onEvent }) => {
        for (const event of events) onEvent?.(event);
        if (ok) return buildResult();
        throw new BuildError('STEP_FAILED', 'no');
      };
      return runCli(['.'], { library: { build } });
    };
    const warned: readonly api.ProgressEvent[] = [...goodBuild, { type: 'diagnostic', diagnostic }];
    expect((await outcome(true, warned)).stderr).toMatch(/[^\n]\n\n 1 warning found/);
    expect((await outcome(false, goodBuild)).stderr).toMatch(/[^\n]\n\nerror\[STEP_FAILED]/);
    expect((await outcome(false, warned)).stderr).toMatch(/\n\n 1 warning found[^]*m\n\nerror\[STEP_FAILED]/);
    expect((await outcome(false, [])).stderr).toMatch(/^error\[STEP_FAILED]/);
  });

  test('a terminal gets the picture', async () => {
    const result = await runCli(['.'], { library, terminal: true });
    expect(result.stderr).toContain('[+] Building 0.0s (0/0) FINISHED');
    expect(result.stderr).toContain('\u001b[36m');
    expect((await runCli(['.'], { library, terminal: true, env: { NO_COLOR: '1' } })).stderr).not.toContain(
      '\u001b[36m',
    );
  });
});

describe('exit status', () => {
  const cases: readonly (readonly [string, () => Promise<never>, number, string])[] = [
    ['a failed step', () => Promise.reject(new BuildError('STEP_FAILED', 'no')), 1, 'error[STEP_FAILED]'],
    [
      'a bad name',
      () => Promise.reject(new BuildError('REFERENCE_INVALID', 'no')),
      2,
      'error[REFERENCE_INVALID]',
    ],
    ['a bug', () => Promise.reject(new RangeError('no')), 70, 'error[INTERNAL]'],
    ['an interruption', () => Promise.reject(new BuildError('INTERRUPTED', 'no')), 130, 'error[INTERRUPTED]'],
  ];
  for (const [name, build, status, text] of cases) {
    test(name, async () => {
      const result = await runCli(['.'], { library: { build } });
      expect(result.status).toBe(status);
      expect(result.stderr).toContain(text);
    });
  }

  test('nobody is told that the reader of stdout has gone; a lost registry is no such reader', async () => {
    const lost = Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' });
    const library = {
      build: (): Promise<never> => Promise.reject(new BuildError('OUTPUT_FAILED', 'no', { cause: lost })),
    };
    expect(await runCli(['.'], { library, stdoutClosed: true })).toEqual({
      status: 1,
      stdout: '',
      stderr: '',
    });
    expect((await runCli(['.'], { library })).stderr).toContain('error[OUTPUT_FAILED]');
  });

  test('whatever an aborted build throws is an interruption', async () => {
    const controller = new AbortController();
    controller.abort();
    const build = (): Promise<never> => Promise.reject(new DOMException('aborted', 'AbortError'));
    expect((await runCli(['.'], { library: { build }, signal: controller.signal })).status).toBe(130);
    // A bug stays a bug.
    const bug = (): Promise<never> => Promise.reject(new TypeError('no'));
    expect((await runCli(['.'], { library: { build: bug }, signal: controller.signal })).status).toBe(70);
  });
});

describe('run', () => {
  test.each([
    [127, 'STEP_START', 127],
    [undefined, 'STEP_START', 1],
  ] as const)('a command that cannot be started ends as in a shell: %s', async (exitCode, code, status) => {
    const library = {
      run: () => Promise.reject(new BuildError(code, '`x` was not found', { details: { exitCode } })),
    };
    const result = await runCli(['run', 'app', 'x'], { library });
    expect(result).toMatchObject({ status, stdout: '' });
    expect(result.stderr).toContain('error[STEP_START]: `x` was not found');
  });

  test('words after the image are not for tsbuild; the status is the container’s', async () => {
    let seen: RunOptions | undefined;
    const library = {
      run: async (options: RunOptions) => {
        seen = options;
        // Of the work before it only what takes time is told.
        for (const event of goodBuild) options.onEvent?.(event);
        options.onEvent?.({
          type: 'diagnostic',
          diagnostic: { severity: 'warning', rule: 'X', message: 'no network' },
        });
        options.onOutput?.('stdout', Buffer.from('out'));
        options.onOutput?.('stderr', Buffer.from('err'));
        return { exitCode: 42 };
      },
    };
    const argv = [
      'run',
      '-it',
      '--rm',
      '-e',
      'A=1',
      '-eB',
      '-v',
      '/a:/b:ro',
      '-w',
      '/w',
      '-u',
      'app',
      '--entrypoint',
      '/e',
    ];
    const rest = [
      '--network',
      'none',
      '--hostname',
      'h',
      'alpine',
      'ls',
      '-l',
      '--help',
      '--root=x',
      '-q=false',
      '--',
      '--network',
    ];
    const result = await runCli([...argv, ...rest], { library, terminal: true, env: { NO_COLOR: '1' } });
    expect(result).toEqual({
      status: 42,
      stdout: 'out',
      stderr: 'fetching alpine\nwarning: no network\nerr',
    });
    expect(seen).toMatchObject({
      image: 'alpine',
      args: ['ls', '-l', '--help', '--root=x', '-q=false', '--', '--network'],
      environment: ['A=1', 'B'],
      volumes: ['/a:/b:ro'],
      workdir: '/w',
      user: 'app',
      entrypoint: '/e',
      network: 'none',
      hostname: 'h',
      interactive: true,
      tty: true,
    });
  });
});

describe('images of the store', () => {
  test('images', async () => {
    const nameless: ImageSummary = { ...summary, name: undefined, created: undefined, size: 999 };
    const library = { listImages: async () => [summary, nameless] };
    const out = async (...argv: string[]): Promise<string> =>
      (await runCli(['images', ...argv], { library })).stdout;
    expect(await out()).toMatch(
      /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\napp +1\.0 +b{12} +\d+ years ago +12\.3MB\n<none> +<none> +b{12} +N\/A +999B\n$/,
    );
    expect(await out('-q')).toBe('bbbbbbbbbbbb\n');
    expect(await out('-q', '--no-trunc')).toBe(`${imageId}\n`);
    expect(await out('--digests')).toContain(digest);
    expect((await out('--format', '{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}')).split('\n')[0]).toBe(
      `app:1.0 ${imageId.slice(7, 19)} 12.3MB`,
    );
    expect((await out('--format', 'table {{.Tag}}\\t{{.ID}}', '--no-trunc')).split('\n').slice(0, 2)).toEqual(
      [expect.stringMatching(/^TAG +ID$/), expect.stringMatching(`^1\\.0 +${imageId}$`)],
    );
    const misspelt = await runCli(['images', '--format', '{{.Repositry}}'], { library });
    expect([misspelt.status, misspelt.stderr]).toEqual([
      2,
      expect.stringContaining('did you mean `Repository`?'),
    ]);
    expect((await runCli(['images', '--format', 'jsn'], { library })).stderr).toContain(
      'did you mean `json`?',
    );
    const lines = (await out('--format', 'json')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { Repository: 'app', Tag: '1.0', ID: imageId, Digest: digest, Bytes: 12_345_678 },
      { Repository: '<none>', Tag: '<none>' },
    ]);
  });

  test('inspect', async () => {
    const result = await runCli(['inspect', 'app', 'other'], {
      library: { inspectImage: async () => details },
    });
    const [first, ...more] = JSON.parse(result.stdout) as readonly unknown[];
    expect(more).toHaveLength(1);
    expect(first).toEqual({
      Id: imageId,
      RepoTags: ['app:1.0', 'app:2', 'reg.example:5000/u/app:1.0'],
      RepoDigests: [`app@${digest}`, `reg.example:5000/u/app@${digest}`],
      Created: '2020-01-01T00:00:00Z',
      Architecture: 'amd64',
      Os: 'linux',
      Size: 12_345_678,
      Config: { Cmd: ['/bin/sh'] },
      RootFS: { Type: 'layers', Layers: [digest] },
      Descriptor: details.descriptor,
    });
    const format = '{{.Id}} {{json .Config.Cmd}}';
    const line = await runCli(['inspect', '-f', format, 'app'], {
      library: { inspectImage: async () => details },
    });
    expect(line.stdout).toBe(`${imageId} ["/bin/sh"]\n`);
  });

  test('history', async () => {
    const line = {
      created: '2020-01-01T00:00:00Z',
      createdBy: `RUN ${'x'.repeat(60)}\tend`,
      comment: undefined,
      size: 5,
      layer: digest,
    };
    const library = {
      imageHistory: async () => [
        { ...line, layer: undefined, size: 0, createdBy: 'CMD ["a"]', comment: 'c' },
        line,
      ],
    };
    const out = async (...argv: string[]): Promise<string> =>
      (await runCli(['history', ...argv, 'app'], { library })).stdout;
    expect(await out()).toMatch(
      /^CREATED +CREATED BY +SIZE +COMMENT\n\d+ years ago +CMD \["a"\] +0B +c\n\d+ years ago +RUN x{40}… +5B\n$/,
    );
    expect(await out('--no-trunc')).toContain(`${'x'.repeat(60)} end`);
    expect(await out('-q')).toBe('<none>\naaaaaaaaaaaa\n');
    expect(await out('--format', '{{.ID}} {{.Size}} {{.Comment}}')).toBe(`<none> 0B c\n${digest} 5B \n`);
    expect(JSON.parse((await out('--format=json')).split('\n')[1] ?? '')).toMatchObject({
      CreatedBy: line.createdBy,
      Bytes: 5,
    });
  });

  test('rmi goes on after an error', async () => {
    const removeImage = async ({
      image,
    }: {
      image: string;
    }): Promise<{ untagged: string[]; deleted: typeof digest }> => {
      if (image === 'gone') throw new BuildError('IMAGE_NOT_FOUND', 'no such image: gone');
      return { untagged: [`docker.io/library/${image}:latest`], deleted: digest };
    };
    const result = await runCli(['rmi', 'gone', 'app'], { library: { removeImage } });
    expect(result.stdout).toBe(`Untagged: app:latest\nDeleted: ${digest}\n`);
    expect(result.stderr).toContain('error[IMAGE_NOT_FOUND]');
    expect(result.status).toBe(1);
    expect(await runCli(['rmi', '-f', 'gone'], { library: { removeImage } })).toEqual({
      status: 0,
      stdout: '',
      stderr: '',
    });
  });

  test('save writes to a file or stdout, but not to a terminal', async () => {
    const targets: unknown[] = [];
    const saveImage: typeof api.saveImage = async (options) => {
      targets.push([options.images, options.format, 'file' in options ? options.file : 'stream']);
      if ('stream' in options) options.stream.write('archive');
    };
    const library = { saveImage };
    expect((await runCli(['save', 'app'], { library, terminal: true })).status).toBe(2);
    expect((await runCli(['save', '-o', '-', 'app'], { library, terminal: true })).status).toBe(2);
    expect(targets).toEqual([]);
    expect((await runCli(['save', 'app'], { library })).stdout).toBe('archive');
    await runCli(['save', '--format', 'oci', '-o', 'x.tar', 'app', 'b'], { library, terminal: true });
    expect(targets).toEqual([
      [['app'], 'docker', 'stream'],
      [['app', 'b'], 'oci', 'x.tar'],
    ]);
  });

  test('load reads a file or stdin', async () => {
    const loadImage = async ({ stream }: { stream: AsyncIterable<Uint8Array> }): Promise<ImageSummary[]> => {
      let text = '';
      for await (const chunk of stream) text += Buffer.from(chunk).toString();
      return [{ ...summary, name: `docker.io/library/${text}:1` }];
    };
    const file = join(folder, 'in');
    writeFileSync(file, 'one');
    expect((await runCli(['load', '-i', file], { library: { loadImage } })).stdout).toBe(
      'Loaded image: one:1\n',
    );
    expect((await runCli(['load'], { library: { loadImage }, input: 'two' })).stdout).toBe(
      'Loaded image: two:1\n',
    );
    const absent = await runCli(['load', '-i', join(folder, 'no')], { library: { loadImage } });
    expect(absent.status).toBe(2);
    expect(absent.stderr).toMatch(/^error\[USAGE\]: `.*\/no` does not exist\n {2}= hint: name an archive/);
    const directory = await runCli(['load', '-i', folder], { library: { loadImage } });
    expect(directory.stderr).toContain(`error[USAGE]: \`${folder}\` is a directory`);
    expect((await runCli(['load'], { library: { loadImage }, terminal: true })).status).toBe(2);
  });
});

describe('login', () => {
  const asked: unknown[] = [];
  const login: typeof api.login = async ({ registry, username, password }) => {
    asked.push([registry, username, password]);
    return { registry: registry ?? 'docker.io', savedTo: '/home/u/.docker/config.json' };
  };
  beforeEach(() => void (asked.length = 0));

  test('takes the password from stdin, without its line feed', async () => {
    const result = await runCli(['login', '-u', 'me', '--password-stdin', 'reg:5000'], {
      library: { login },
      input: 'pass word\r\n',
    });
    expect(asked).toEqual([['reg:5000', 'me', 'pass word']]);
    expect(result.stdout).toBe('');
    expect(result.stderr).toContain('Login succeeded: reg:5000');
    expect(result.stderr).not.toContain('pass word');
  });

  test('warns of a password on the command line', async () => {
    const result = await runCli(['login', '-u', 'me', '-p', 'secret'], { library: { login } });
    expect(result.stderr).toContain('warning: a password on the command line');
    expect(asked).toEqual([[undefined, 'me', 'secret']]);
  });

  test('does not ask where nobody can answer', async () => {
    for (const argv of [
      ['login'],
      ['login', '--password-stdin'],
      ['login', '-u', 'me', '-p', 'x', '--password-stdin'],
    ]) {
      expect((await runCli(argv, { library: { login } })).status).toBe(2);
    }
    expect(
      (await runCli(['login', '-u', 'me', '--password-stdin'], { library: { login }, input: '\n' })).stderr,
    ).toContain('empty');
    expect(asked).toEqual([]);
  });
});

describe('doctor', () => {
  const checks = [
    { name: 'runc', status: 'ok', detail: '1.1.5' },
    {
      name: 'subuid',
      status: 'missing',
      detail: 'no range for user u',
      fix: 'usermod --add-subuids 100000-165535 u',
    },
  ] as const;

  test('text and JSON', async () => {
    const library = { doctor: async () => ({ checks, runtime: 'runc' }) };
    const result = await runCli(['doctor'], { library });
    expect(result.stdout).toBe(
      'ok       runc    1.1.5\nmissing  subuid  no range for user u\n                 = fix: usermod --add-subuids 100000-165535 u\n\nRUN steps use runc\n',
    );
    expect(result.status).toBe(0);
    expect(JSON.parse((await runCli(['doctor', '--format', 'json'], { library })).stdout)).toEqual({
      checks,
      runtime: 'runc',
    });
  });

  test('fails where no step can run', async () => {
    expect(
      (await runCli(['doctor'], { library: { doctor: async () => ({ checks, runtime: undefined }) } }))
        .status,
    ).toBe(1);
  });
});
