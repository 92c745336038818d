import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { Command, Instruction } from '../../src/frontend/instruction.ts';
import type { ParsedDockerfile } from '../../src/frontend/parse.ts';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import { graph } from '../../src/index.ts';
import { startHttpServer } from '../support/http-server.ts';
import { tempFolder } from '../support/temp.ts';
import { faultLine } from './dump.ts';
import { imageOf } from './lowered.ts';

const parse = (text: string): ParsedDockerfile => parseDockerfile({ name: 'Dockerfile', text });
const faults = (text: string): readonly string[] => parse(text).errors.map(faultLine);
const kinds = (text: string): readonly string[] => parse(text).instructions.map(({ kind }) => kind);

function commands(text: string): readonly Command[] {
  return parse(text).instructions.flatMap((instruction: Instruction) =>
    'command' in instruction && instruction.command !== undefined ? [instruction.command] : [],
  );
}
const shell = (text: string): readonly string[] =>
  commands(text).map((command) => (command.form === 'shell' ? command.text : JSON.stringify(command.args)));

describe('lines', () => {
  test('L-PARSE-1: a byte order mark and a shebang line are no part of the file', () => {
    expect(faults('\uFEFFFROM a\n')).toEqual([]);
    expect(parse('\uFEFF# escape=`\nFROM a\n').directives.escape).toBe('`');
    const { directives } = parse('#!/usr/bin/env tsbuild\n# syntax=docker/dockerfile:1\nFROM a\n');
    expect(directives.syntax?.text).toBe('docker/dockerfile:1');
  });

  test('L-PARSE-1: behind a shebang `check` is read too, an escape is not', () => {
    const { directives, errors } = parse(
      '#!x\n# escape=`\n# check=skip=all\n# escape=x\nFROM a\nRUN a \\\nb\n',
    );
    expect(errors).toEqual([]);
    expect(directives.escape).toBe('\\');
    expect(directives.check?.text).toBe('skip=all');
  });

  test('L-PARSE-2: a line has at most 65,535 bytes, of whatever characters', () => {
    const line = (character: string, bytes: number): string =>
      `RUN ${character.repeat((bytes - 4) / Buffer.byteLength(character))}`;
    for (const character of ['x', 'é', '€']) {
      const most = 4 + Math.floor((65_535 - 4) / Buffer.byteLength(character)) * Buffer.byteLength(character);
      expect(faults(`FROM a\n${line(character, most)}\n`)).toEqual([]);
      expect(faults(`FROM a\n${line(character, most + Buffer.byteLength(character))}\n`)).toEqual([
        'DOCKERFILE_SYNTAX 2:1-2:2 a line has more than 65535 bytes',
      ]);
    }
    expect(faults(`FROM a\nRUN a ${'\\\nxxxxxxxxx '.repeat(10_000)}\n`)).toEqual([]);
    expect(faults(`FROM a\n# ${'x'.repeat(70_000)}\n`)).toHaveLength(1);
    expect(faults(`FROM a\nRUN <<E\n${'x'.repeat(70_000)}\nE\n`)).toEqual([
      'DOCKERFILE_SYNTAX 3:1-3:2 a line has more than 65535 bytes',
    ]);
  });

  test('L-PARSE-2: line ends of Windows change no value', () => {
    const text = 'FROM a\n# c\nRUN x \\\n  y\nENV a=1 \\\n\n b=2\nCOPY <<E /x\nhi\nE\nCMD ["a", \\\n "b"]\n';
    const values = (file: ParsedDockerfile): string =>
      JSON.stringify(file.instructions, (key, value: unknown) =>
        /range|source|emptyLines/i.test(key) ? undefined : value,
      ).replaceAll('\\r', '');
    expect(values(parse(text.replaceAll('\n', '\r\n')))).toBe(values(parse(text)));
  });

  test('L-PARSE-3: names in any case; an unknown one with the name that is near', () => {
    expect(kinds('from a\nRuN x\neNv a=1\nCoPy a b\nhealthCHECK none\n')).toEqual([
      'from',
      'run',
      'env',
      'copy',
      'healthcheck',
    ]);
    expect(faults('FROM a\nRNU x\nEXPOES 1\nENTRY x\nwhatever x\n')).toEqual([
      'DOCKERFILE_UNKNOWN_INSTRUCTION 2:1-2:4 unknown instruction `RNU` | did you mean `RUN`?',
      'DOCKERFILE_UNKNOWN_INSTRUCTION 3:1-3:7 unknown instruction `EXPOES` | did you mean `EXPOSE`?',
      'DOCKERFILE_UNKNOWN_INSTRUCTION 4:1-4:6 unknown instruction `ENTRY`',
      'DOCKERFILE_UNKNOWN_INSTRUCTION 5:1-5:9 unknown instruction `whatever`',
    ]);
  });

  test('L-PARSE-4: a comment begins a line, and nothing else', () => {
    expect(shell('# RUN no\nFROM a\n  # RUN no\n\t#RUN no\nRUN a # b\nRUN a#b\n')).toEqual(['a # b', 'a#b']);
  });

  test('L-PARSE-4: comments and empty lines inside a continued instruction are dropped; an empty line is told', async () => {
    const text = 'FROM a\nRUN a \\\n# no \\\n  # no\n  b \\\n\n \t\n  c\nRUN d\n';
    expect(shell(text)).toEqual(['a   b   c', 'd']);
    expect(parse(text).emptyContinuations.map(({ range }) => range.start.line)).toEqual([6, 7]);
    const { config, warnings } = await imageOf('FROM scratch\nLABEL a=1 \\\n\n b=2\n');
    expect(config.Labels).toEqual({ a: '1', b: '2' });
    expect(warnings).toEqual(['NoEmptyContinuation']);
  });

  test('L-PARSE-5: blanks in front of an instruction do not count, those in its arguments do', () => {
    expect(shell(' \t FROM a\n\t\tRUN   a   b \n')).toEqual(['a   b']);
    expect(kinds('   \n\n \t FROM a\n')).toEqual(['from']);
  });

  test('L-PARSE-6: an escape and blanks at the end continue; an escaped escape does not; nor does one inside', () => {
    expect(shell('FROM a\nRUN a \\ \t\n b\nRUN c \\\\\nRUN d \\e\n')).toEqual(['a  b', 'c \\\\', 'd \\e']);
    expect(shell('# escape=`\nFROM a\nRUN a `  \n b\nRUN c ``\nRUN d\\\n')).toEqual(['a  b', 'c ``', 'd\\']);
    expect(shell('FROM a\nRUN ab\\\ncd\n')).toEqual(['abcd']);
  });

  test('L-PARSE-6: the last line may be continued', () => {
    for (const end of ['\\', '\\\n', '\\ \n\n', '\\\n# c\n', '\\\r\n'])
      expect(shell(`FROM a\nRUN a ${end}`)).toEqual(['a']);
  });

  test('L-PARSE-6: an instruction may begin on the line after its first escape', () => {
    expect(shell('\\\n  FROM a\n \\ \n# c\n\nRUN a\n')).toEqual(['a']);
    expect(faults('FROM a\n \\\n# c\n')).toEqual([
      'DOCKERFILE_SYNTAX 2:2-2:3 the line is continued, and no instruction follows | take it away',
    ]);
  });

  test('L-PARSE-7: files without a stage', () => {
    const first = (text: string): string | undefined => faults(text)[0]?.replace(/ \|.*/, '');
    expect(first('')).toBe('DOCKERFILE_NO_STAGE 1:1-1:1 the Dockerfile is empty');
    expect(first(' \n\t\n')).toBe('DOCKERFILE_NO_STAGE 1:1-1:1 the Dockerfile is empty');
    expect(first('# a\n')).toBe('DOCKERFILE_NO_STAGE 1:1-1:1 the Dockerfile has no instructions');
    expect(first('ARG a\n')).toBe('DOCKERFILE_NO_STAGE 1:1-1:1 the Dockerfile has no FROM');
    // What is no instruction may be the missing FROM: one error, not two.
    expect(faults('FORM a\nRUN x\n')).toEqual([
      'DOCKERFILE_UNKNOWN_INSTRUCTION 1:1-1:5 unknown instruction `FORM` | did you mean `FROM`?',
    ]);
    expect(faults('ARG ok\nRUN x\nENV a=1\nFROM a\n')).toEqual([
      'DOCKERFILE_NO_STAGE 2:1-2:4 RUN stands before the first FROM | only ARG may stand there',
    ]);
  });
});

describe('forms', () => {
  test('L-PARSE-8: what parses as a JSON array is one; what does not is shell text', () => {
    expect(
      shell('FROM a\nRUN [ "a" ,"b\\t" ]\nRUN [a]\nRUN ["a"\nRUN ["a"] b\nRUN [\'a\']\nRUN ["a",]\nCMD []\n'),
    ).toEqual(['["a","b\\t"]', '[a]', '["a"', '["a"] b', "['a']", '["a",]', '[]']);
    expect(commands('FROM a\nRUN ["a"]\nRUN [a]\n').map(({ form }) => form)).toEqual(['exec', 'shell']);
  });

  test('L-PARSE-8: characters of strings', () => {
    expect(shell('FROM a\nRUN ["\\u00e9\\ud83d\\ude00\\n\\ud83d"]\n')).toEqual(['["é😀\\n\uFFFD"]']);
    expect(faults('FROM a\nRUN ["a\\u0000"]\nSHELL ["\\u0000"]\nCOPY ["\\u0000", "/x"]\n')).toEqual([
      'DOCKERFILE_SYNTAX 2:5-2:16 an argument has a NUL character',
      'DOCKERFILE_SYNTAX 3:7-3:17 an argument has a NUL character',
      'DOCKERFILE_SYNTAX 4:6-4:22 an argument has a NUL character',
    ]);
  });

  test.each([
    'RUN [1]',
    'CMD ["a", null]',
    'ENTRYPOINT [["a"]]',
    'COPY ["a", {}]',
    'ADD [true, "b"]',
    'VOLUME [1]',
    'SHELL [1]',
    'HEALTHCHECK CMD [1]',
    'ONBUILD RUN [1]',
  ])('L-PARSE-8: %s has something that is no string', (text) => {
    expect(faults(`FROM a\n${text}\n`)).toEqual([
      expect.stringMatching(/^DOCKERFILE_SYNTAX 2:.*array of strings/),
    ]);
  });

  test('L-PARSE-9: flags stand directly behind the name, and `--` ends them', () => {
    const [, copy, run] = parse('FROM a\nCOPY --from=x -- --link b\nRUN a --mount=b\n').instructions;
    expect(copy).toMatchObject({ from: { text: 'x' }, link: false, sources: [{ word: { text: '--link' } }] });
    expect(run).toMatchObject({ mounts: [], command: { text: 'a --mount=b' } });
  });

  test('L-PARSE-9: quotes and backslashes in flags, whatever the escape is', () => {
    for (const head of ['', '# escape=`\n']) {
      const [, ...copies] = parse(
        `${head}FROM a\nCOPY --chown="a b" x y\nCOPY --chown=a\\ b x y\nCOPY --chown='a'" b" x y\n`,
      ).instructions;
      for (const copy of copies) expect(copy).toMatchObject({ chown: { text: 'a b' } });
    }
  });

  test('L-PARSE-9: values of flags, and flags that nobody knows', () => {
    const [, ...copies] = parse(
      'FROM a\nCOPY --link x y\nCOPY --link=True x y\nCOPY --link=FALSE x y\n',
    ).instructions;
    expect(copies.map((copy) => copy.kind === 'copy' && copy.link)).toEqual([true, true, false]);
    expect(
      faults(
        'FROM a\nCOPY --link=1 x y\nCOPY --chown= x y\nCOPY --from=a --from=b x y\nRUN --mout=x y\nENV --x a=1\n',
      ),
    ).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 2:13-2:14 `--link` is either true or false, not `1`',
      'DOCKERFILE_SYNTAX 3:6-3:14 `--chown` needs a value | write --chown=<value>',
      'DOCKERFILE_SYNTAX 4:15-4:21 the flag `--from` stands twice',
      'DOCKERFILE_UNKNOWN_FLAG 5:5-5:11 RUN has no flag `--mout` | did you mean `--mount`?',
      'DOCKERFILE_UNKNOWN_FLAG 6:5-6:8 ENV has no flag `--x` | ENV takes no flags',
    ]);
    expect(parse('FROM a\nCOPY --exclude=a --exclude=b x y\n').instructions[1]).toMatchObject({
      exclude: [{ text: 'a' }, { text: 'b' }],
    });
  });
});

describe('the Dockerfile itself', () => {
  const steps = async (options: Parameters<typeof graph>[0]): Promise<string> => {
    await using store = await tempFolder('parse-store');
    return await graph({ root: store.path, env: {}, ...options });
  };

  test('L-PARSE-10: `Dockerfile`, else `dockerfile`, else what -f names', async () => {
    await using folder = await tempFolder('parse');
    const write = (name: string, path: string): void =>
      writeFileSync(join(folder.path, name), `FROM scratch\nWORKDIR ${path}\n`);
    write('other', '/other');
    await expect(steps({ context: folder.path })).rejects.toMatchObject({ code: 'DOCKERFILE_NOT_FOUND' });
    write('dockerfile', '/lower');
    expect(await steps({ context: folder.path })).toContain('/lower');
    write('Dockerfile', '/upper');
    expect(await steps({ context: folder.path })).toContain('/upper');
    expect(await steps({ context: folder.path, dockerfile: join(folder.path, 'other') })).toContain('/other');
  });

  test('L-PARSE-10: from a stream and from a URL', async () => {
    await using folder = await tempFolder('parse');
    const text = 'FROM scratch\nWORKDIR /streamed\n';
    const stream = Readable.from([Buffer.from(text)]);
    expect(await steps({ context: folder.path, dockerfile: { stream } })).toContain('/streamed');
    await using server = await startHttpServer((_request, response) => response.end(text));
    expect(await steps({ context: folder.path, dockerfile: `http://${server.host}/x` })).toContain(
      '/streamed',
    );
  });

  test('L-PARSE-10: a Containerfile is told, and taken by -f', async () => {
    await using folder = await tempFolder('parse');
    const path = join(folder.path, 'Containerfile');
    writeFileSync(path, 'FROM scratch\nWORKDIR /podman\n');
    await expect(steps({ context: folder.path })).rejects.toMatchObject({
      code: 'DOCKERFILE_NOT_FOUND',
      hint: `there is \`${path}\`: name it with -f`,
    });
    expect(await steps({ context: folder.path, dockerfile: path })).toContain('/podman');
  });

  test('L-PARSE-10: one that is missing is told with the names that are near', async () => {
    await using folder = await tempFolder('parse');
    writeFileSync(join(folder.path, 'Dockerfile.prod'), 'FROM scratch\n');
    await expect(steps({ context: folder.path })).rejects.toMatchObject({
      message: 'there is no Dockerfile in the build context',
      hint: `there is \`${join(folder.path, 'Dockerfile.prod')}\`: name it with -f`,
    });
  });

  test('L-PARSE-10: no link of the context leads out of it', async () => {
    await using folder = await tempFolder('parse');
    mkdirSync(join(folder.path, 'context'));
    writeFileSync(join(folder.path, 'secret'), 'FROM scratch\n');
    symlinkSync('../secret', join(folder.path, 'context/Dockerfile'));
    await expect(steps({ context: join(folder.path, 'context') })).rejects.toMatchObject({
      code: 'DOCKERFILE_NOT_FOUND',
    });
  });
});

describe('places', () => {
  test('L-PARSE-11: every instruction knows its lines, and every fault its columns', () => {
    const { instructions } = parse('FROM a\n\nRUN x \\\n  y\nCOPY <<E /x\nhi\nE\n');
    expect(instructions.map(({ range }) => [range.start.line, range.end.line])).toEqual([
      [1, 1],
      [3, 4],
      [5, 7],
    ]);
    expect(faults('FROM a\nRUN \\\n  --mout=y \\\n  z\n')).toEqual([
      'DOCKERFILE_UNKNOWN_FLAG 3:3-3:9 RUN has no flag `--mout` | did you mean `--mount`?',
    ]);
  });

  test('L-PARSE-11: a blank ends a value inside of braces, as with BuildKit, and the hint says so', () => {
    expect(faults('FROM a\nENV Y=${X:?need x}\n')).toEqual([
      'DOCKERFILE_SYNTAX 2:17-2:19 `x}` has no `=` | a blank ends a value inside `${...}` too: put the whole value in double quotes',
    ]);
    expect(faults('FROM a\nENV Y="${X:?need x}"\n')).toEqual([]);
  });

  test('L-PARSE-11: a hundred faults are enough', () => {
    expect(faults(`FROM a\n${'x\n'.repeat(500)}`)).toHaveLength(100);
    expect(faults(`FROM a\nRUN ${'--x '.repeat(500)}\n`)).toHaveLength(100);
    expect(faults(`FROM a\nRUN ${'<<E '.repeat(500)}\n`)).toHaveLength(100);
  });

  test('L-PARSE-12: comment lines directly above FROM and ARG describe, up to a blank comment or another instruction', () => {
    const { instructions } = parse(
      '# one\n# two\nARG A\n# lost\n#\n# kept\nFROM a AS b\nRUN x\n# c\nARG D\nARG E\n',
    );
    const comments = instructions.flatMap((instruction) =>
      'comments' in instruction ? [instruction.comments.map(({ text }) => text)] : [],
    );
    expect(comments).toEqual([['one', 'two'], ['kept'], ['c'], []]);
  });
});
