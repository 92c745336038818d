import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { suite, tool } from '../../support/require.ts';
import { runtimes } from '../executor-steps.ts';
import type { Steps } from './steps.ts';
import { openSteps } from './steps.ts';

suite('heredocs in steps', ['root', tool('runc'), tool('busybox', 'busybox-static')], () => {
  describe.each(runtimes)('on %s', (runtime) => {
    let steps: Steps;
    beforeAll(async () => {
      steps = await openSteps(`heredoc-${runtime}`, runtime);
    });
    afterAll(() => steps[Symbol.asyncDispose]());

    const says = (...lines: readonly string[]): Promise<readonly string[]> =>
      steps.says(`${lines.join('\n')}\n`);

    test('L-HD-2: a body is one script of the shell, with its variables, quotes, comments and continuations', async () => {
      expect(
        await says(
          'ENV A=set',
          'ARG B=given',
          'RUN <<EOF',
          '# no comment of the Dockerfile',
          'x=kept; echo "$x $A" \'$A\' \\$A $B $0',
          'echo one \\',
          '  two',
          'if true; then',
          '\techo tab',
          'fi',
          'EOF',
        ),
      ).toEqual(['kept set $A $A given /bin/sh', 'one two', 'tab']);
    });

    test('L-HD-2: SHELL runs it; a line that fails ends it only where the shell says so', async () => {
      expect(await says('RUN <<E', 'false', 'echo after', 'E')).toEqual(['after']);
      const error = await steps.error('SHELL ["/bin/sh", "-ec"]\nRUN <<E\nfalse\necho after\nE\n');
      expect(error).toMatchObject({ code: 'STEP_FAILED' });
      expect(await says('SHELL ["/bin/busybox", "echo", "say:"]', 'RUN <<E', 'a "b"', 'E')).toEqual([
        'say: a "b"',
        '',
      ]);
    });

    test('L-HD-2: with `#!` it is a program, read-only, and its name is that of the delimiter', async () => {
      expect(
        await says(
          'RUN <<itself',
          '#!/bin/cat',
          '$V',
          'itself',
          'RUN <<me',
          '#!/bin/sh -e',
          'echo $0; stat -c "%a %u:%g" $0; touch $0 2>/dev/null || echo read-only',
          'me',
        ),
      ).toEqual(['#!/bin/cat', '$V', '/dev/pipes/me', '755 0:0', 'read-only']);
      expect(
        (await steps.layers('RUN <<me\n#!/bin/sh\necho >/made\nme\n')).flat().map(({ path }) => path),
      ).toEqual(['made']);
    });

    test('L-HD-3: a command takes it as its standard input', async () => {
      expect(
        await says('RUN sed s/a/b/ <<E', 'aaa $PATH', 'E', 'RUN <<E sh -s x', 'echo "in \\$1=$1"', 'E'),
      ).toEqual([expect.stringMatching(/^baa \/.*bin/), 'in x=']);
    });

    test('L-HD-3: several, quoted ones and ones with a descriptor, in the order of their lines', async () => {
      expect(
        await says(
          'ARG V=value',
          'RUN <<A cat >/a && cat <<-"B" >>/a && 3<<C cat <&3 >>/a && cat /a',
          '$V',
          'A',
          '\t\t$V',
          '\tB',
          'three',
          'C',
        ),
      ).toEqual(['value', '$V', 'three']);
      expect(await says('RUN cat <<  E | tr a-z A-Z', 'blanks before', 'E', 'RUN echo $((1 << 4))')).toEqual([
        'BLANKS BEFORE',
        '16',
      ]);
    });

    test('L-HD-1 L-HD-4: what COPY and ADD wrote is there, expanded or not', async () => {
      expect(
        await says(
          'ENV V=value',
          "COPY --chmod=640 <<one <<-'two words' /etc/x/",
          'a=$V \\$V "$V"',
          'one',
          '\tb=$V',
          '\ttwo words',
          'ADD <<E /single',
          'E',
          'RUN cd /etc/x && cat one "two words" && stat -c "%n %a %s" one /single',
        ),
      ).toEqual(['a=value $V "value"', 'b=$V', 'one 640 19', '/single 644 0']);
    });

    test('L-HD-1: triggers have theirs', async () => {
      expect(
        await steps.says(
          [
            'FROM base AS first',
            'ONBUILD COPY <<E /x',
            'content',
            'E',
            'ONBUILD RUN <<E',
            'echo triggered; cat /x',
            'E',
            'FROM first',
          ].join('\n'),
        ),
      ).toEqual(['triggered', 'content']);
    });
  });
});
