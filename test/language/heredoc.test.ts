import { describe, expect, test } from 'vitest';
import type { CopyOp, ExecOp } from '../../src/graph/op.ts';
import { faultsOf, imageOf, lowerText } from './lowered.ts';

async function ops(
  text: string,
): Promise<{ readonly runs: readonly ExecOp[]; readonly copies: readonly CopyOp[] }> {
  const { definition } = await lowerText(`FROM scratch\n${text}`);
  const all = definition.vertices.map(({ op }) => op);
  return {
    runs: all.filter((op) => op.kind === 'exec'),
    copies: all.filter((op) => op.kind === 'copy'),
  };
}

/** What the shell of the first RUN is given. */
const script = async (text: string): Promise<string | undefined> => (await ops(text)).runs[0]?.args.at(-1);

/** Names and contents of the files that the first COPY makes itself. */
async function files(text: string): Promise<readonly (readonly [string, string])[]> {
  const sources = (await ops(text)).copies[0]?.sources ?? [];
  return sources.flatMap((source) =>
    source.kind === 'inline' ? [[source.name, source.content] as const] : [],
  );
}

describe('where a heredoc begins and ends', () => {
  test('L-HD-1: a word `<<NAME`, up to a line that is NAME alone', async () => {
    expect(await script('RUN <<EOF\na\n EOF\nEOF \n  b\nEOF\nRUN x\n')).toBe('a\n EOF\nEOF \n  b\n');
    expect(await files('COPY <<one /x\n1\none\n')).toEqual([['one', '1\n']]);
    expect(await files('COPY <<E /x\nE\n')).toEqual([['E', '']]);
  });

  test('L-HD-1: `<<-` takes leading tabs off, of the body and of the end', async () => {
    expect(await files('COPY <<-E /x\n\t\ta\n\t b\n  c\n\t\tE\n')).toEqual([['E', 'a\n b\n  c\n']]);
    expect(await files('COPY <<E /x\n\ta\n\tE\nE\n')).toEqual([['E', '\ta\n\tE\n']]);
  });

  test('L-HD-1: blanks may stand behind `<<`, not behind `<<-`', async () => {
    expect(await script('RUN cat <<  EOF >x\na\nEOF\n')).toBe('cat <<  EOF >x\na\nEOF');
    expect(await script('RUN << EOF\na\nEOF\n')).toBe('a\n');
    expect(await files('COPY << one /x\n1\none\n')).toEqual([['one', '1\n']]);
    expect(await script('RUN cat <<- EOF\n')).toBe('cat <<- EOF');
  });

  test('L-HD-1: a shift is no heredoc', async () => {
    for (const text of ['echo $((1 << 2))', 'echo $(( x <<n ))', '((a = 1 << b)) && c'])
      expect(await script(`RUN ${text}\n`), text).toBe(text);
    expect(await script('RUN echo $((1 << 2)) <<E\nx\nE\n')).toBe('echo $((1 << 2)) <<E\nx\nE');
  });

  test('L-HD-1: quotes and escapes of a name are those of a backslash, whatever the escape is', async () => {
    const body = 'FROM scratch\nCOPY <<"a\\"b\\c" <<d\\ e /x/\n1\na"b\\c\n2\nd e\n';
    for (const head of ['', '# escape=`\n']) {
      const { definition } = await lowerText(`${head}${body}`);
      expect(definition.vertices.flatMap(({ op }) => (op.kind === 'copy' ? op.sources : []))).toMatchObject([
        { name: 'a"b\\c', content: '1\n' },
        { name: 'd e', content: '2\n' },
      ]);
    }
  });

  test('L-HD-1: a quoted name expands nothing', async () => {
    const text = (word: string): string => `ENV v=1\nCOPY ${word} /x\n$v \${v:-2} \\$v "q"\nE\n`;
    expect(await files(text('<<E'))).toEqual([['E', '1 1 $v "q"\n']]);
    for (const word of ['<<"E"', "<<'E'", '<<""E'])
      expect(await files(text(word)), word).toEqual([['E', '$v ${v:-2} \\$v "q"\n']]);
    // An escape quotes for a shell, and not for BuildKit.
    expect(await files(text('<<\\E'))).toEqual([['E', '1 1 $v "q"\n']]);
  });

  test('L-HD-1: one without an end is an error that names it', async () => {
    expect(await faultsOf('FROM scratch\nRUN <<A cat && <<B cat\n1\nA\n2\n')).toEqual([
      'DOCKERFILE_SYNTAX 2:16 the heredoc `B` has no end | end it with a line that holds `B` alone',
    ]);
    expect(await faultsOf('FROM scratch\nRUN <<EOF\n  a\n  EOF\nRUN b\n')).toEqual([
      expect.stringMatching(/the heredoc `EOF` has no end \| line 4 has blanks around `EOF`: take them away/),
    ]);
  });

  test('L-HD-1: in RUN, COPY, ADD and ONBUILD of them alone, and never in JSON or in quotes', async () => {
    const { config } = await imageOf('FROM scratch\nENV a=<<E\nLABEL b=<<E\nCMD <<E\n');
    expect(config).toMatchObject({ Labels: { b: '<<E' }, Cmd: ['/bin/sh', '-c', '<<E'] });
    expect(await script('RUN ["cat", "<<E"]\n')).toBe('<<E');
    expect(await script('RUN echo "<<E" \'<<E\'\n')).toBe('echo "<<E" \'<<E\'');
    expect(await script('RUN cat <<<x\n')).toBe('cat <<<x');
    expect(
      (await imageOf('FROM scratch\nONBUILD RUN <<E\nx\nE\nONBUILD ADD <<E /x\ny\nE\n')).config.OnBuild,
    ).toEqual(['RUN <<E\nx\nE', 'ADD <<E /x\ny\nE']);
  });

  test('L-HD-1: the body is text: no comments, no continuations, no instructions', async () => {
    expect(await script('RUN <<E\n# a\nFROM b\nRUN c \\\nE\n')).toBe('# a\nFROM b\nRUN c \\\n');
  });
});

describe('RUN with heredocs', () => {
  test('L-RUN-2 L-HD-2: alone, its body is the script of SHELL', async () => {
    expect((await ops('SHELL ["/bin/ash", "-e"]\nRUN <<E\na $b\n"c"\nE\n')).runs[0]?.args).toEqual([
      '/bin/ash',
      '-e',
      'a $b\n"c"\n',
    ]);
  });

  test('L-HD-2: a body with `#!` is a program of its own', async () => {
    const [run] = (await ops('RUN <<-NAME\n#!/usr/bin/env python\n\tprint(1)\nNAME\n')).runs;
    const path = '/dev/pipes/NAME';
    expect(run?.args).toEqual(['/bin/sh', '-c', path]);
    expect(run?.files).toEqual([{ path, content: '#!/usr/bin/env python\nprint(1)\n', mode: 0o755 }]);
    // Tabs are taken off later than BuildKit looks.
    expect(await script('RUN <<-E\n\t#!/bin/sh\n\ta\nE\n')).toBe('#!/bin/sh\na\n');
    expect(await faultsOf('FROM scratch\nRUN <<a/b\n#!/bin/sh\na/b\n')).toEqual([
      expect.stringContaining('`a/b` cannot be a file name'),
    ]);
  });

  test('L-HD-3: with a command, the shell gets all of it as it was written', async () => {
    const text = '<<A cat >x && 3<<-"B" cat <&3\n$a\nA\n\tb\n';
    expect(await script(`RUN ${text}\tB\n`)).toBe(`${text}B`);
    expect(await script('RUN python3 <<E\nprint(1)\nE\n')).toBe('python3 <<E\nprint(1)\nE');
    expect(await script('RUN <<E \\\n  cat\n1\nE\n')).toBe('<<E   cat\n1\nE');
  });

  test('L-HD-3: the value of an ARG is left to the shell', async () => {
    expect(await script('ARG v=1\nRUN cat <<E\n$v\nE\n')).toBe('cat <<E\n$v\nE');
  });
});

describe('COPY and ADD with heredocs', () => {
  test('L-HD-4: several, among files, which come first', async () => {
    const { copies } = await ops('COPY <<a b <<c /x/\n1\na\n2\nc\n');
    expect(
      copies[0]?.sources.map((source) => (source.kind === 'inline' ? source.name : source.paths)),
    ).toEqual([['b'], 'a', 'c']);
    expect(await files('ADD <<a <<b /x/\n1\na\n2\nb\n')).toEqual([
      ['a', '1\n'],
      ['b', '2\n'],
    ]);
  });

  test('L-HD-4 L-ADD-5: a file is called like its delimiter, has mode 0644 and what the word says of expansion', async () => {
    const { copies } = await ops(
      'ENV v=1\nCOPY --chmod=0600 <<app.conf <<"raw" /etc/\nport=${v}\napp.conf\n$v\nraw\n',
    );
    expect(copies[0]).toMatchObject({
      dest: '/etc/',
      chmod: '0600',
      sources: [
        { kind: 'inline', name: 'app.conf', content: 'port=1\n', mode: 0o644 },
        { kind: 'inline', name: 'raw', content: '$v\n', mode: 0o644 },
      ],
    });
    expect(await faultsOf('FROM scratch\nADD <<E /x\n${v:?not set}\nE\n')).toEqual([
      expect.stringMatching(/^DOCKERFILE_EXPANSION .* v: not set/),
    ]);
  });

  test('L-HD-4: never the destination', async () => {
    expect(await faultsOf('FROM scratch\nCOPY a <<E\nx\nE\n')).toEqual([
      'DOCKERFILE_SYNTAX 2:8 a heredoc cannot be the destination',
    ]);
    expect(await faultsOf('FROM scratch\nCOPY <<E\nx\nE\n')).toEqual([
      expect.stringContaining('at least one source and a destination'),
    ]);
    expect(await faultsOf('FROM scratch\nCOPY <<a/b /x\nx\na/b\n')).toEqual([
      expect.stringContaining('`a/b` cannot be a file name'),
    ]);
  });
});

test('L-HD-5: a step is called by the first line of its heredoc', async () => {
  const steps = async (body: string): Promise<string> =>
    (await imageOf(`FROM scratch\nRUN <<E\n${body}\nE\n`)).steps.at(-1) ?? '';
  expect(await steps('make')).toMatch(/RUN <<E \(make\)$/);
  expect(await steps('\n  set -e\nmake')).toMatch(/RUN <<E \(set -e\.\.\.\)$/);
  expect(await steps('x'.repeat(200))).toMatch(/\(x{80}\.\.\.\)$/);
});
