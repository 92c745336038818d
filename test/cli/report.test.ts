import { describe, expect, test } from 'vitest';
import type { Diagnostic, SourceLocation } from '../../src/index.ts';
import { reportDiagnostics, reportError } from '../../src/cli/report.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { controls, withoutColors } from './controls.ts';
import { expectGolden } from '../support/golden.ts';

const text = `FROM alpine AS builder
RUN apk add make
WORKDIR /src
COPY . .
RUN make all

FROM scratch
COPY --from=biulder /out /usr/bin/
RUN set -e; \\
    apt-get update && \\
    apt-get install -y \\
      one \\
      two \\
      three \\
      four \\
      five \\
      six \\
      seven \\
      eight && \\
    false
\tCMD ["a"]
LABEL 名前="値" x=y z
`;

function place(
  start: readonly [number, number],
  end: readonly [number, number],
  source = { name: 'Dockerfile', text },
): SourceLocation {
  return {
    source,
    range: { start: { line: start[0], column: start[1] }, end: { line: end[0], column: end[1] } },
  };
}

const plain = { color: false, debug: false };
const cases: Readonly<Record<string, BuildError>> = {
  'one line, with a hint': new BuildError(
    'DOCKERFILE_UNKNOWN_STAGE',
    '`biulder` names no stage and no image',
    {
      source: place([8, 13], [8, 20]),
      hint: 'did you mean `builder` (line 1)?',
    },
  ),
  'a failed step': new BuildError('STEP_FAILED', 'the command ended with status 2', {
    source: place([5, 1], [5, 13]),
    details: { exitCode: 2, command: '/bin/sh -c make all' },
  }),
  'a failed step of several lines': new BuildError('STEP_FAILED', 'the command ended with status 1', {
    source: place([3, 1], [5, 13]),
    details: { exitCode: 1, command: ['/bin/sh', '-c', 'a\nb\nc\nd\ne'] },
    hint: 'one\ntwo',
  }),
  'a range longer than a screen': new BuildError('STEP_FAILED', 'no', { source: place([9, 1], [20, 10]) }),
  'a range that ends with its line feed': new BuildError('DOCKERFILE_SYNTAX', 'no', {
    source: place([2, 1], [3, 1]),
  }),
  'a tab before it': new BuildError('DOCKERFILE_SYNTAX', 'no', { source: place([21, 6], [21, 11]) }),
  'wide characters': new BuildError('DOCKERFILE_SYNTAX', 'no', { source: place([22, 7], [22, 15]) }),
  'the place after a line': new BuildError('DOCKERFILE_SYNTAX', 'something is missing', {
    source: place([3, 13], [3, 13]),
  }),
  'a place outside the text': new BuildError('DOCKERFILE_SYNTAX', 'something is missing', {
    source: place([99, 1], [99, 4]),
  }),
  'a very long line': new BuildError('DOCKERFILE_SYNTAX', 'no', {
    source: place([1, 301], [1, 306], {
      name: 'Dockerfile',
      text: `RUN ${'x'.repeat(296)}WRONG${'y'.repeat(300)}`,
    }),
  }),
  'no place': new BuildError('USAGE', 'unknown option', { hint: 'see --help' }),
  'several lines of a message': new BuildError('GIT_FAILED', 'git failed:\nfatal: one\n\nfatal: two\n'),
  'several errors': new BuildError('DOCKERFILE_SYNTAX', 'first', {
    source: place([1, 1], [1, 5]),
    others: [
      new BuildError('DOCKERFILE_UNKNOWN_FLAG', 'second', { source: place([8, 6], [8, 20]) }),
      new BuildError('DOCKERFILE_BAD_ARGUMENT', 'third', {
        source: place([21, 2], [21, 5]),
        hint: 'write it so',
      }),
    ],
  }),
  'hostile text': new BuildError('REGISTRY_ERROR', 'the registry said \u001b[2Jno\u001b]0;x\u0007\u009b1A', {
    hint: 'a\u001b[31mb',
    source: place([1, 5], [1, 8], { name: 'Docker\u001b[Hfile', text: 'RUN \u001b[2J\u0007x' }),
  }),
};

describe('errors (DESIGN section 7)', () => {
  test('frames', () => {
    const shown = Object.entries(cases).map(([name, error]) => `## ${name}\n${reportError(error, plain)}`);
    expectGolden('cli/errors.txt', shown.join('\n'));
  });

  test('no control character of others reaches the terminal, with colours or without', () => {
    for (const color of [false, true]) {
      const shown = reportError(cases['hostile text'], { color, debug: false });
      expect(withoutColors(shown)).not.toMatch(controls);
    }
  });

  test('colours change nothing but colours', () => {
    for (const error of Object.values(cases)) {
      const colored = reportError(error, { color: true, debug: false });
      expect(withoutColors(colored)).toBe(reportError(error, plain));
    }
  });

  test('what is no BuildError is a bug, with its stack', () => {
    const shown = reportError(new TypeError('x is not a function'), plain);
    expect(shown).toMatch(/^error\[INTERNAL\]: x is not a function\n/);
    expect(shown).toMatch(/ at .*report\.test\.ts/);
    expect(shown).toContain('this is a bug in tsbuild');
    expect(reportError('a string', plain)).toContain('error[INTERNAL]: a string');
  });

  test('with --debug come the stack and the causes', () => {
    const error = new BuildError('DOWNLOAD_FAILED', 'no', { cause: new Error('socket hang up') });
    expect(reportError(error, plain)).not.toContain('socket hang up');
    const shown = reportError(error, { color: false, debug: true });
    expect(shown).toContain('caused by Error: socket hang up');
    expect(shown).toMatch(/ at .*report\.test\.ts/);
  });
});

describe('warnings (U-13)', () => {
  const diagnostics: readonly Diagnostic[] = [
    {
      severity: 'warning',
      rule: 'StageNameCasing',
      message: 'stage name `A` should be lower case',
      source: place([1, 16], [1, 23]),
    },
    {
      severity: 'warning',
      rule: 'SecretsUsedInArgOrEnv',
      message: 'do not use ENV for `TOKEN`',
      url: 'https://docs.docker.com/go/dockerfile/rule/secrets-used-in-arg-or-env/',
      hint: 'use RUN --mount=type=secret',
    },
    { severity: 'note', rule: 'NetworkShared', message: 'RUN steps use the network of this host' },
  ];

  test('a line each, or with --debug their frames', () => {
    const short = reportDiagnostics(diagnostics, plain);
    const long = reportDiagnostics(diagnostics, { color: false, debug: true });
    expectGolden(
      'cli/warnings.txt',
      `${short}----\n${long}----\n${reportDiagnostics(diagnostics.slice(0, 1), plain)}`,
    );
    expect(reportDiagnostics([], plain)).toBe('');
  });

  test('E-3: what was probably meant stands in the line', () => {
    const hint = 'did you mean `VERSION`?';
    const unused: Diagnostic = {
      severity: 'warning',
      rule: 'UnusedBuildArg',
      message: 'nothing takes `VERSOIN`',
      hint,
    };
    expect(reportDiagnostics([unused], plain)).toContain(
      ' - UnusedBuildArg: nothing takes `VERSOIN`: did you mean `VERSION`?\n',
    );
  });
});
