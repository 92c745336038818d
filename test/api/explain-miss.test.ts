import { chmodSync, readdirSync, renameSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { missProject } from '../support/misses.ts';

const file = `FROM scratch AS one
COPY src /src/
ARG X=1
COPY $X.txt /
WORKDIR /w-$X
FROM one
COPY other /other
`;
const files = { Dockerfile: file, 'src/a.ts': 'a', 'src/b.ts': 'b', '1.txt': '1', '2.txt': '2', other: 'o' };
const project = async () => missProject(files);
const reasons = (misses: Readonly<Record<string, { readonly miss: unknown }>>) =>
  Object.fromEntries(Object.entries(misses).map(([name, { miss }]) => [name, miss]));

describe('a step that is run in a second build names what was edited', () => {
  test('first nothing is known, then all is cached', async () => {
    await using it = await project();
    expect(reasons(await it.misses())).toEqual({
      'COPY src /src/': { kind: 'new' },
      'COPY $X.txt /': { kind: 'new' },
      'WORKDIR /w-1': { kind: 'new' },
      'COPY other /other': { kind: 'new' },
    });
    expect(await it.misses()).toEqual({});
    utimesSync(join(it.context, 'src/a.ts'), 1, 1);
    expect(await it.misses()).toEqual({});
  });

  test('content of a file, and which step began it', async () => {
    await using it = await project();
    await it.misses();
    it.put('src/b.ts', 'B');
    const misses = await it.misses();
    const because = { kind: 'file', path: 'src/b.ts', change: 'content', others: 0 };
    expect(misses['COPY src /src/']).toEqual({ miss: because, text: 'file `src/b.ts` changed' });
    const step = '[one 1/3] COPY src /src/';
    expect(reasons(misses)['COPY $X.txt /']).toEqual({ kind: 'parent', step, because });
    const root = { kind: 'parent', step: '[one 2/3] COPY $X.txt /', root: step, because };
    expect(reasons(misses)['WORKDIR /w-1']).toEqual(root);
    expect(misses['WORKDIR /w-1']?.text).toBe(`a step that it builds on is run: ${step}`);
  });

  test.each<readonly [string, (context: string) => void, object, string]>([
    [
      'mode',
      (context) => chmodSync(join(context, 'src/a.ts'), 0o755),
      { change: 'mode', path: 'src/a.ts', before: '0644', now: '0755' },
      'file `src/a.ts` has another mode: `0644` -> `0755`',
    ],
    [
      'a file that is gone',
      (context) => rmSync(join(context, 'src/b.ts')),
      { change: 'removed', path: 'src/b.ts' },
      'file `src/b.ts` is gone',
    ],
    [
      'another kind of file',
      (context) => {
        rmSync(join(context, 'src/a.ts'));
        symlinkSync('b.ts', join(context, 'src/a.ts'));
      },
      { change: 'type', path: 'src/a.ts' },
      'file `src/a.ts` is another kind of file',
    ],
    [
      'a new name',
      (context) => renameSync(join(context, 'src/a.ts'), join(context, 'src/c.ts')),
      { change: 'renamed', path: 'src/a.ts', before: 'src/a.ts', now: 'src/c.ts' },
      'file `src/a.ts` has another name: `src/a.ts` -> `src/c.ts`',
    ],
  ])('%s', async (_name, edit, miss, text) => {
    await using it = await project();
    for (const name of ['src/a.ts', 'src/b.ts']) chmodSync(join(it.context, name), 0o644);
    await it.misses();
    edit(it.context);
    const found = (await it.misses())['COPY src /src/'];
    expect(found?.miss).toMatchObject({ kind: 'file', others: 0, ...miss });
    expect(found?.text).toBe(text);
  });

  test('a new file, one that the ignore file lets in, and how many more', async () => {
    await using it = await project();
    it.put('.dockerignore', 'src/b.ts');
    await it.misses();
    it.put('.dockerignore', 'nothing');
    expect((await it.misses())['COPY src /src/']?.text).toBe('file `src/b.ts` is new');
    it.put('src/x', 'x');
    it.put('src/y', 'y');
    expect((await it.misses())['COPY src /src/']?.text).toBe('file `src/x` is new (and 1 more)');
  });

  test('a file of another stage, and of a named context', async () => {
    await using it = await missProject({
      Dockerfile:
        'FROM scratch AS made\nCOPY a b /d/\nFROM scratch\nCOPY --from=made /d/a /a\nCOPY --from=more x /x\n',
      ...{ a: '1', b: '1', 'more/x': '1' },
    });
    const options = { buildContexts: { more: join(it.context, 'more') } };
    await it.misses(options);
    it.put('b', '2');
    const early = await it.misses(options);
    expect(Object.keys(early)).toEqual(['COPY a b /d/']);
    it.put('a', '2');
    const stage = (await it.misses(options))['COPY --from=made /d/a /a'];
    expect(stage?.text).toBe('file `d/a` of [made 1/1] COPY a b /d/ changed');
    it.put('more/x', '2');
    const named = await it.misses(options);
    expect(named['COPY --from=more x /x']?.text).toBe('file `x` of [context more] load changed');
  });

  test('owner and mode that COPY gives', async () => {
    await using it = await missProject({
      Dockerfile: 'FROM scratch\nARG O=1:1\nARG M=600\nCOPY --chown=$O --chmod=$M a /\n',
      a: '1',
    });
    await it.misses();
    const owner = Object.values(await it.misses({ buildArgs: { O: '2:2' } }))[0];
    expect(owner?.text).toBe('argument O changed: `1:1` -> `2:2`');
    const mode = Object.values(await it.misses({ buildArgs: { O: '2:2', M: '640' } }))[0];
    expect(mode?.text).toBe('argument M changed: `600` -> `640`');
  });

  test('reordered instructions are not taken for changed ones', async () => {
    await using it = await missProject({
      Dockerfile: 'FROM scratch\nWORKDIR /w\nCOPY a /\nCOPY b /\n',
      a: '1',
      b: '1',
    });
    await it.misses();
    it.put('Dockerfile', 'FROM scratch\nWORKDIR /w\nCOPY b /\nCOPY a /\n');
    expect(reasons(await it.misses())).toEqual({
      'COPY b /': { kind: 'inputs', steps: ['[1/3] WORKDIR /w'] },
      'COPY a /': expect.objectContaining({ kind: 'parent' }),
    });
  });

  test('the last build is what a build is compared with, also when it was cached', async () => {
    await using it = await project();
    await it.misses();
    it.put('src/a.ts', 'A');
    await it.misses();
    it.put('src/a.ts', 'a');
    expect(await it.misses()).toEqual({});
    it.put('src/b.ts', 'B');
    expect((await it.misses())['COPY src /src/']?.text).toBe('file `src/b.ts` changed');
  });

  test('a build argument, and not the text that it comes into', async () => {
    await using it = await project();
    await it.misses();
    const misses = await it.misses({ buildArgs: { X: '2' } });
    const miss = { kind: 'argument', name: 'X', before: '1', now: '2' };
    expect(misses['COPY $X.txt /']).toEqual({ miss, text: 'argument X changed: `1` -> `2`' });
    expect(misses['WORKDIR /w-2']?.miss).toEqual(miss);
    expect(misses['COPY src /src/']).toBeUndefined();
  });

  test('of an argument that is a secret by its name no value', async () => {
    await using it = await missProject({
      Dockerfile: 'FROM scratch\nARG API_TOKEN\nCOPY $API_TOKEN /\n',
      abcdefgh: '1',
      ijklmnop: '2',
    });
    await it.misses({ buildArgs: { API_TOKEN: 'abcdefgh' } });
    const found = (await it.misses({ buildArgs: { API_TOKEN: 'ijklmnop' } }))['COPY $API_TOKEN /'];
    expect(found?.text).toBe('argument API_TOKEN changed');
    expect(JSON.stringify(found?.miss)).not.toMatch(/abcdefgh|ijklmnop|#/);
  });

  test('the text of an instruction', async () => {
    await using it = await project();
    await it.misses();
    it.put('Dockerfile', file.replace('src /src/', 'src /lib/'));
    const found = (await it.misses())['COPY src /lib/'];
    expect(found?.miss).toEqual({ kind: 'instruction', before: 'COPY src /src/', now: 'COPY src /lib/' });
    expect(found?.text).toBe('the instruction changed: `COPY src /src/` -> `COPY src /lib/`');
  });

  test('an instruction that was put in is new, and those behind it build on it', async () => {
    await using it = await project();
    await it.misses();
    it.put('Dockerfile', file.replace('ARG X', 'WORKDIR /fresh\nARG X'));
    const misses = reasons(await it.misses());
    expect(misses['WORKDIR /fresh']).toEqual({ kind: 'new' });
    expect(misses['COPY $X.txt /']).toMatchObject({ kind: 'parent', step: '[one 2/4] WORKDIR /fresh' });
  });

  test('an instruction like the one that it was put before is new all the same', async () => {
    await using it = await project();
    await it.misses();
    it.put('Dockerfile', file.replace('COPY $X', 'COPY 2.txt /\nCOPY $X'));
    const misses = reasons(await it.misses());
    expect(misses['COPY 2.txt /']).toEqual({ kind: 'new' });
    expect(misses['COPY $X.txt /']).toMatchObject({ kind: 'parent', step: '[one 2/4] COPY 2.txt /' });
  });

  test('an instruction that was taken out', async () => {
    await using it = await project();
    await it.misses();
    it.put('Dockerfile', file.replace('COPY $X.txt /\n', ''));
    const misses = await it.misses();
    expect(misses['WORKDIR /w-1']?.miss).toEqual({ kind: 'inputs', steps: ['[one 1/2] COPY src /src/'] });
  });

  test('options of the build', async () => {
    await using it = await project();
    await it.misses();
    const epoch = (await it.misses({ sourceDateEpoch: 5 }))['COPY src /src/'];
    expect(epoch?.text).toBe('SOURCE_DATE_EPOCH changed: it is now `5`');
    const again = (await it.misses({ sourceDateEpoch: 6 }))['COPY src /src/'];
    expect(again?.miss).toEqual({ kind: 'option', name: 'SOURCE_DATE_EPOCH', before: '5', now: '6' });
  });

  test('that the cache is not to be used', async () => {
    await using it = await project();
    await it.misses();
    const misses = reasons(await it.misses({ noCacheFilter: ['1'] }));
    expect(misses).toEqual({ 'COPY other /other': { kind: 'no-cache' } });
    const from = reasons(await it.misses({ noCacheFrom: 4 }));
    expect(from).toEqual({
      'COPY $X.txt /': { kind: 'no-cache' },
      'WORKDIR /w-1': { kind: 'no-cache' },
      'COPY other /other': { kind: 'no-cache' },
    });
  });

  test('a base image that moved', async () => {
    await using it = await missProject({
      Dockerfile: 'FROM base\nCOPY a /a\n',
      'base.txt': 'FROM scratch\nENV V=1\nCOPY a /base\n',
      a: 'a',
    });
    const makeBase = (): Promise<unknown> =>
      it.misses({ dockerfile: join(it.context, 'base.txt'), tags: ['base'], outputs: undefined });
    await makeBase();
    await it.misses();
    it.put('base.txt', 'FROM scratch\nENV V=2\nCOPY a /other\n');
    await makeBase();
    const misses = await it.misses();
    expect(Object.values(misses)[0]?.text).toMatch(/^base .*base.* moved: sha256:\w{12} -> sha256:\w{12}$/);
    expect(misses['COPY a /a']?.miss).toMatchObject({ kind: 'base' });
  });

  test('a result that has left the store', async () => {
    await using it = await project();
    await it.misses();
    for (const name of readdirSync(join(it.root, 'blobs/sha256')))
      rmSync(join(it.root, 'blobs/sha256', name));
    rmSync(join(it.root, 'layers'), { recursive: true, force: true });
    expect(reasons(await it.misses())['COPY src /src/']).toEqual({ kind: 'lost' });
  });
});
