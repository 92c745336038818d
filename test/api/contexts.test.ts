import { execFileSync } from 'node:child_process';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { build } from '../../src/index.ts';
import { streamOf } from '../../src/util/streams.ts';
import { makeProject, putFiles } from '../language/built.ts';

const all = 'FROM scratch\nCOPY . /\n';

describe('a context from a stream (C-IN-1)', () => {
  const files = { Dockerfile: all, 'd/f': { content: 'F', mode: 0o750 }, l: { link: 'd/f' } };
  const whole = [
    'f 644 0:0 /Dockerfile=FROM scratch\nCOPY . /\n',
    'd 755 0:0 /d',
    'f 750 0:0 /d/f=F',
    's 0:0 /l -> d/f',
  ];

  test.each([
    ['plain', '-c'],
    ['gzip', '-cz'],
    ['bzip2', '-cj'],
    ['xz', '-cJ'],
    ['zstd', undefined],
  ])('a tar archive, %s', async (_, flag) => {
    await using project = await makeProject(files);
    const args = ['-C', project.path, '--owner=77', '--numeric-owner', '.'];
    const bytes =
      flag === undefined
        ? zstdCompressSync(execFileSync('tar', ['-c', ...args]))
        : execFileSync('tar', [flag, ...args]);
    const { lines, times } = await project.build(undefined, { context: { stream: streamOf(bytes) } });
    expect(lines).toEqual(whole);
    expect(times['/d/f']).toBe('1000000000');
    // The Dockerfile may come from elsewhere.
    const given = await project.build('FROM scratch\nCOPY d /', { context: { stream: streamOf(bytes) } });
    expect(given.lines).toEqual(['f 750 0:0 /f=F']);
  });

  test('the same content is cached, however it comes', async () => {
    await using project = await makeProject(files);
    await project.build(undefined);
    const bytes = execFileSync('tar', ['-cz', '-C', project.path, '.']);
    expect((await project.build(undefined, { context: { stream: streamOf(bytes) } })).cached).toBe(1);
  });

  test('a bare Dockerfile has no context; its named contexts are there', async () => {
    await using project = await makeProject({ 'more/f': 'F' });
    const stream = (text: string) => ({ context: { stream: streamOf(text) } });
    const buildContexts = { more: '$CONTEXT/more' };
    const text = 'FROM scratch\nCOPY --from=more f /\nCOPY <<EOF /e\nx\nEOF\n';
    expect((await project.build(undefined, { ...stream(text), buildContexts })).lines).toEqual([
      'f 644 0:0 /e=x\n',
      'f 644 0:0 /f=F',
    ]);
    expect((await project.build(undefined, stream(all))).lines).toEqual([]);
    expect(await project.fails(undefined, stream('FROM scratch\nADD a b* /\n'))).toContain(
      'COPY_SOURCE_MISSING 2:1 `/a` is not in the build context, which is empty | the Dockerfile came without a context',
    );
  });

  test('a Dockerfile from a stream goes with a directory, and its ignore file', async () => {
    await using project = await makeProject({
      '.dockerignore': '.*\nb',
      Dockerfile: 'not this one',
      a: 'A',
      b: '',
    });
    const { lines } = await project.build(undefined, { dockerfile: { stream: streamOf(all) } });
    expect(lines).toEqual(['f 644 0:0 /Dockerfile=not this one', 'f 644 0:0 /a=A']);
  });
});

describe('named contexts (C-IN-6)', () => {
  test('a directory has its own ignore file, is read once, and takes the place of stages and images', async () => {
    await using project = await makeProject({
      'more/.dockerignore': 'hidden\n.dockerignore',
      'more/hidden': '',
      'more/f': 'F',
    });
    const buildContexts = {
      stage: '$CONTEXT/more',
      'docker.io/library/alpine:3': '$CONTEXT/more',
      plain: '$CONTEXT/more',
    };
    const text =
      'FROM nowhere.invalid/none AS stage\nRUN never\nFROM alpine:3\nCOPY --from=stage . /s/\nCOPY --from=plain f /p\n';
    expect((await project.build(text, { buildContexts })).lines).toEqual([
      'f 644 0:0 /f=F',
      'f 644 0:0 /p=F',
      'd 755 0:0 /s',
      'f 644 0:0 /s/f=F',
    ]);
    expect(await project.fails('FROM scratch\nCOPY --from=plain hidden /', { buildContexts })).toContain(
      '`/hidden` is excluded from the build context ($CONTEXT/more) | line 1 of $CONTEXT/more/.dockerignore excludes it: `hidden`',
    );
  });

  test('an image of the store or of an OCI layout, by tag and by digest', async () => {
    await using project = await makeProject({ a: 'A', b: 'B' });
    const root = `${project.path}/../store`;
    const layout = `${project.path}/../layout`;
    const make = (text: string, more: object) =>
      build({ root, env: {}, context: project.path, dockerfile: { text }, ...more });
    await make('FROM scratch\nCOPY a /\nENV FROM_STORE=1', { tags: ['local/one'] });
    const { digest } = await make('FROM scratch\nCOPY b /', {
      outputs: [{ type: 'oci', tar: false, dest: layout, names: ['local/two:2'] }],
    });
    const buildContexts = {
      base: 'docker-image://local/one',
      tagged: `oci-layout://${layout}:2`,
      pinned: `oci-layout://${layout}@${digest}`,
    };
    const text = 'FROM base\nCOPY --from=tagged b /1\nCOPY --from=pinned b /2\nCOPY --from=base a /3\n';
    const { lines, config } = await project.build(text, { buildContexts });
    expect(lines).toEqual(['f 644 0:0 /1=B', 'f 644 0:0 /2=B', 'f 644 0:0 /3=A', 'f 644 0:0 /a=A']);
    expect(config.config?.['Env']).toContain('FROM_STORE=1');
  });

  test('one that is not there is an error, as with buildx, also where nothing uses it; what belongs to bake files is refused', async () => {
    await using project = await makeProject({ f: 'F' });
    const buildContexts = { gone: '$CONTEXT/gone' };
    for (const text of ['FROM scratch\nCOPY f /', 'FROM scratch\nCOPY --from=gone f /'])
      expect(await project.fails(text, { buildContexts })).toBe(
        'CONTEXT_NOT_FOUND -:- --build-context gone: the build context `$CONTEXT/gone` does not exist | give a directory or a URL; for an image write gone=docker-image://NAME',
      );
    expect(await project.fails(all, { buildContexts: { a: 'target:b' } })).toMatchInlineSnapshot(
      `"USAGE -:- the build context \`a=target:b\` is of a bake file, which names other targets so | build that target first and give its image, as a=docker-image://NAME; a stage of this Dockerfile needs no context"`,
    );
    expect(await project.fails(all, { buildContexts: { a: '' } })).toMatchInlineSnapshot(
      `"USAGE -:- the build context \`a\` has no value"`,
    );
    putFiles(project.path, { 'x.tar': 'no directory' });
    expect(
      await project.fails('FROM scratch\nCOPY --from=x . /', { buildContexts: { x: '$CONTEXT/x.tar' } }),
    ).toMatchInlineSnapshot(
      `"CONTEXT_INVALID -:- --build-context x: the build context \`$CONTEXT/x.tar\` is no directory | give a directory or a URL; for an image write x=docker-image://NAME"`,
    );
  });
});
