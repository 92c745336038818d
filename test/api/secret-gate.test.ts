import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BuildOptions, ProgressEvent } from '../../src/index.ts';
import { build, BuildError } from '../../src/index.ts';
import { makeProject } from '../language/built.ts';

const secret = 'pl4nted/Secret+v4lue';
const encoded = Buffer.from(secret).toString('base64');
const given: Pick<BuildOptions, 'secrets'> = { secrets: [{ id: 'npm', value: `${secret}\n` }] };
const leak = (place: string, rest: string): string => `SECRET_LEAK ${place} the secret \`npm\` ${rest}`;
const hint =
  'use it where it is mounted and write it nowhere else; `--allow secret.leak=npm` builds it anyway';
const configHint =
  'ARG, ENV and LABEL stay in the image: use RUN --mount=type=secret,id=npm; `--allow secret.leak=npm` builds it anyway';

/** The project as it is, and its error when the secret is not `--allow`ed. */
async function failure(
  files: Parameters<typeof makeProject>[0],
  text: string,
  options: BuildOptions = {},
): Promise<string> {
  await using project = await makeProject(files);
  // Without the secret it is an image like any other.
  await project.build(text, options);
  return await project.fails(text, { ...given, ...options });
}

describe('M-16 a secret in a layer', () => {
  it.each([
    ['a file', { 'a/npmrc': `x=${secret}` }, 'COPY a /a', 'is in /a/npmrc'],
    [
      'a large file, across its chunks',
      { big: `${'.'.repeat(524_280)}${secret}` },
      'COPY big /',
      'is in /big',
    ],
    ['base64 in lines', { f: encoded.replaceAll(/.{7}/g, '$&\n') }, 'COPY f /', 'is in /f, as base64'],
    ['hex', { f: Buffer.from(secret).toString('hex') }, 'COPY f /', 'is in /f, in hex'],
    ['a URL', { f: `https://x/?${encodeURIComponent(secret)}` }, 'COPY f /', 'is in /f, as in a URL'],
    ['the name of a file', { [`d/${secret}`]: '' }, 'COPY d /', 'is in the name of /****'],
    ['the target of a link', { 'd/l': { link: secret } }, 'COPY d /d', 'is in the link target of /d/l'],
    ['a heredoc', {}, `COPY <<f /h\n${secret}\nf`, 'is in /h'],
    ['the name of a directory', {}, `WORKDIR /a/${secret}/b`, 'is in the history of the image'],
  ])('is found in %s', async (_, files, line, rest) => {
    const said = await failure(files, `FROM scratch\n${line}`);
    expect(said).toContain('SECRET_LEAK 2:');
    expect(said).toContain(rest);
    expect(said).toContain('secret.leak=npm');
  });

  it('is told with its line, once for each place', async () => {
    const files = { 'd/one': secret, 'd/two': encoded, 'd/three': secret.slice(1), [`d/${secret}/x/y`]: '' };
    const said = await failure(files, 'FROM scratch AS a\nCOPY d/three /\nFROM a\nCOPY \\\n  d /d');
    expect(said).toBe(
      [
        leak('4:1', 'is in /d/one'),
        'the secret `npm` is in the name of /d/****',
        `the secret \`npm\` is in /d/two, as base64 | ${hint}`,
      ].join('\n'),
    );
  });

  it('is found in stages that are not in the image, since others may copy from them', async () => {
    await using project = await makeProject({ f: secret, g: '' });
    const text = 'FROM scratch AS a\nCOPY f g /\nFROM scratch\nCOPY --from=a g /';
    expect(await project.fails(text, given)).toBe(`${leak('2:1', 'is in /f')} | ${hint}`);
  });

  it('is found in the extended attributes that a tar brings', async () => {
    await using project = await makeProject({});
    const file = join(project.path, 'plain');
    writeFileSync(file, '');
    const pax = ['--format=posix', `--pax-option=SCHILY.xattr.user.note:=${secret}`];
    execFileSync('tar', ['-C', project.path, ...pax, '-cf', join(project.path, 'a.tar'), 'plain']);
    expect(await project.fails('FROM scratch\nADD a.tar /', given)).toBe(
      `${leak('2:1', 'is in the attribute of /plain')} | ${hint}`,
    );
  });

  it('leaves nothing behind that could be pushed or copied', async () => {
    await using project = await makeProject({ f: secret });
    await project.fails('FROM scratch\nCOPY f /', given);
    const root = join(project.path, '../store');
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((item) => item.isFile());
    for (const { parentPath, name } of files)
      expect(readFileSync(join(parentPath, name)).includes(secret)).toBe(false);
  });
});

describe('M-16 a secret in what the image says of itself', () => {
  it.each([
    ['ENV', `ENV A=1 B=${secret}`, '2:1', 'is in the history of the image'],
    ['ENV by ARG', 'ARG T\nENV A=$T', '2:1', 'is in the history of the image'],
    ['a default of ARG', `ARG T=${secret}`, '2:1', 'is in the history of the image'],
    ['LABEL', `LABEL a=${encoded}`, '2:1', 'is in the history of the image, as base64'],
    ['CMD', `CMD ["run", "--token=${secret}"]`, '2:1', 'is in the history of the image'],
    ['ENTRYPOINT', `ENTRYPOINT login ${secret}`, '2:1', 'is in the history of the image'],
  ])('%s', async (_, line, place, rest) => {
    const said = await failure({}, `FROM scratch\n${line}`, { buildArgs: { T: secret } });
    expect(said).toBe(`${leak(place, rest)} | ${configHint}`);
  });

  it('is found before a step runs', async () => {
    await using project = await makeProject({});
    const events: ProgressEvent[] = [];
    const text = `FROM scratch\nRUN unknown\nENV A=${secret}`;
    const onEvent = (event: ProgressEvent): void => void events.push(event);
    expect(await project.fails(text, { ...given, onEvent })).toContain(leak('3:1', 'is in the history'));
    expect(events.filter((event) => event.type === 'vertex' && event.state === 'running')).toHaveLength(1);
  });

  it('is found in labels and annotations of the options', async () => {
    await using project = await makeProject({});
    for (const options of [{ labels: { a: secret } }, { annotations: { [secret]: '' } }])
      expect(await project.fails('FROM scratch\nENV A=1', { ...given, ...options })).toBe(
        `SECRET_LEAK -:- the secret \`npm\` is in the config of the image | ${configHint}`,
      );
  });
});

describe('M-16 what is allowed, and what was', () => {
  const both = 'FROM scratch\nCOPY f /f\nCOPY g /g';

  it('builds with a warning at the line where it is allowed, for all secrets or one', async () => {
    await using project = await makeProject({ f: secret, g: 'g' });
    const told: ProgressEvent[] = [];
    const onEvent = (event: ProgressEvent): void => void told.push(event);
    for (const right of ['secret.leak', 'secret.leak=npm']) {
      const built = await project.build(both, { ...given, allow: [right], noCache: true, onEvent });
      expect(built.lines).toContain(`f 644 0:0 /f=${secret}`);
    }
    const warnings = told.flatMap((event) => (event.type === 'diagnostic' ? [event.diagnostic] : []));
    expect(warnings.map(({ rule, message, source }) => [rule, message, source?.range.start.line])).toEqual([
      ['SecretLeak', 'the secret `npm` is in /f', 2],
      ['SecretLeak', 'the secret `npm` is in /f', 2],
    ]);
    const other = { allow: ['secret.leak=other'], noCache: true };
    expect(await project.fails(both, { ...given, ...other })).toContain(leak('2:1', 'is in /f'));
  });

  it('searches what a build without the secret has cached, and remembers what was clean', async () => {
    await using project = await makeProject({ f: secret, g: 'g' });
    await project.build(both);
    expect(await project.fails(both, given)).toBe(`${leak('2:1', 'is in /f')} | ${hint}`);
    const clean = 'FROM scratch\nCOPY g /g';
    const names: string[] = [];
    const onEvent = (event: ProgressEvent): void => {
      if (event.type === 'vertex' && event.state === 'done') names.push(event.name);
    };
    const search = '[internal] search cached layers for secrets';
    const run = async (value: string): Promise<boolean> => {
      names.length = 0;
      await project.build(clean, { secrets: [{ id: 'npm', value }], onEvent });
      return names.includes(search);
    };
    await project.build(clean);
    expect([await run(secret), await run(secret), await run('another-secret')]).toEqual([true, false, true]);
    names.length = 0;
    await project.build(clean, { noCache: true, ...given, onEvent });
    expect(names).not.toContain(search);
  });

  it('an allowed leak is no build’s that is not allowed it, with the secret or without', async () => {
    await using project = await makeProject({ f: secret, g: 'g' });
    await project.build(both, { ...given, allow: ['secret.leak'] });
    for (const options of [given, {}])
      expect(await project.fails(both, options)).toBe(`${leak('2:1', 'is in /f')} | ${hint}`);
    const built = await project.build(both, { allow: ['secret.leak=npm'] });
    expect(built.cached).toBe(2);
    expect(await project.fails('FROM scratch\nCOPY f /f', {})).toBe(`${leak('2:1', 'is in /f')} | ${hint}`);
  });

  it('keeps no secret, nor a digest of one, in the store', async () => {
    await using project = await makeProject({ g: 'g' });
    await project.build('FROM scratch\nCOPY g /', given);
    const root = join(project.path, '../store');
    const digest = execFileSync('sha256sum', { input: secret, encoding: 'utf8' }).slice(0, 64);
    for (const item of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (!item.isFile()) continue;
      const bytes = readFileSync(join(item.parentPath, item.name));
      for (const text of [secret, encoded, digest]) expect(bytes.includes(text)).toBe(false);
    }
  });
});

describe('S-EN-5 what a build says', () => {
  it('has stars in the place of secrets: events, errors, the user’s own line', async () => {
    await using project = await makeProject({ f: '' });
    const told: ProgressEvent[] = [];
    const text = `FROM scratch\nCOPY f /${secret}\nLABEL é="${secret}" b=c`;
    const error: unknown = await build({
      ...given,
      context: project.path,
      root: join(project.path, '../store'),
      env: {},
      dockerfile: { text },
      onEvent: (event) => told.push(event),
    }).catch((reason: unknown) => reason);
    if (!(error instanceof BuildError)) throw new Error('it does not fail');
    expect(error.code).toBe('SECRET_LEAK');
    expect(error.source?.source.text.split('\n').slice(1)).toEqual([
      `COPY f /${'*'.repeat(secret.length)}`,
      `LABEL é="${'*'.repeat(secret.length)}" b=c`,
    ]);
    expect(JSON.stringify([told, error.message, error.hint, error.details, error.stack])).not.toContain(
      'pl4nted',
    );
  });

  it('names a secret that is too short to be searched for', async () => {
    await using project = await makeProject({ f: 'abc' });
    const secrets = [{ id: 'short', value: 'abc' }];
    const messages: string[] = [];
    const onEvent = (event: ProgressEvent): void => {
      if (event.type === 'diagnostic') messages.push(event.diagnostic.message);
    };
    await project.build('FROM scratch\nCOPY f /', { secrets, onEvent });
    expect(messages).toEqual([
      'the image is not searched for the secret `short`, which is shorter than 6 bytes',
    ]);
  });
});
