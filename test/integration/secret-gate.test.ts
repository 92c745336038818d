import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BuildOptions } from '../../src/index.ts';
import { suite, tool } from '../support/require.ts';
import { runtimes } from './executor-steps.ts';
import type { Steps } from './language/steps.ts';
import { openSteps } from './language/steps.ts';

const secret = 'pl4nted Secret+v4lue for tests, longer than one line of base64 so that it is broken';
const word = 'hunter22_word';
const secrets: BuildOptions['secrets'] = [
  { id: 'npm', value: `${secret}\n` },
  { id: 'word', value: word },
];
const file = '/run/secrets/npm';
const mounts = '--mount=type=secret,id=npm --mount=type=secret,id=word,env=WORD';

suite('M-16 what steps do with a secret', ['root', tool('runc')], () => {
  describe.each(runtimes)('on %s', (runtime) => {
    let steps: Steps;
    beforeAll(async () => {
      steps = await openSteps('gate', runtime);
    });
    afterAll(async () => {
      await steps[Symbol.asyncDispose]();
    });

    test.each([
      ['copies it', `cp ${file} /root/npmrc`, 'npm', '/root/npmrc'],
      ['writes its environment down', 'env >/etc/environment', 'word', '/etc/environment'],
      ['puts it into a text', `echo "token=$(cat ${file})" >/etc/conf`, 'npm', '/etc/conf'],
      ['appends it to a file of the base', `cat ${file} >>/etc/passwd`, 'npm', '/etc/passwd'],
      ['takes it for a name', 'mkdir -p "/tmp/$WORD/d"', 'word', 'the name of /tmp/****'],
      ['makes a link of it', `ln -s "$(cat ${file})" /l`, 'npm', 'the link target of /l'],
      ['encodes it in lines', `base64 ${file} >/b`, 'npm', '/b, as base64'],
      ['encodes a text with it', `(printf xy; cat ${file}) | base64 >/b`, 'npm', '/b, as base64'],
      ['dumps it', `od -An -tx1 ${file} >/x`, 'npm', '/x, in hex'],
      ['dumps it plainly', `xxd -p ${file} >/x`, 'npm', '/x, in hex'],
      [
        'hides it deep and without rights',
        `mkdir -p /a/b && cp ${file} /a/b/c && chmod 0 /a/b/c`,
        'npm',
        '/a/b/c',
      ],
    ])('a step that %s fails the build', async (_, command, id, place) => {
      const error = await steps.error(`ENV A=1\nRUN ${mounts} ${command}`, { secrets });
      expect([error.code, error.message]).toEqual(['SECRET_LEAK', `the secret \`${id}\` is in ${place}`]);
      expect(error.source?.range.start.line).toBe(3);
    });

    test('a step that only uses it is fine', async () => {
      const command = `test "$(cat ${file})" = "${secret.slice(0, 4)}$(cut -c5- ${file})" && echo x >/done`;
      const { states } = await steps.build(`RUN ${mounts} ${command}`, { secrets });
      expect(states.at(-1)).toMatch(/^RUN .*:done$/s);
    });

    test('what a step prints has stars, in one piece or letter by letter, encoded or over lines', async () => {
      const letters = `for i in $(seq 1 ${word.length}); do printf %s "$WORD" | cut -c$i | tr -d '\\n'; sleep 0.02; done; echo .`;
      const commands = [
        `cat ${file}; ${letters}`,
        'echo "<$WORD>" >&2; printf %s "$WORD" | base64; printf %s "$WORD" | fold -w 5; echo',
        'echo last word',
      ];
      const { stdout, stderr } = await steps.build(`RUN ${mounts} ${commands.join('; ')}`, { secrets });
      const [first, second, encoded, ...folded] = stdout.split('\n');
      expect([first, second]).toEqual(['****', '****.']);
      expect(encoded).toMatch(/^\*{4}.?=*$/);
      expect(folded).toEqual(['****', '****', '****', 'last word', '']);
      expect(stderr).toBe('<****>\n');
    });

    test('a failed step and its command tell nothing', async () => {
      const lines: string[] = [];
      const error = await steps.error(`RUN ${mounts} echo "$WORD" && false ${word}`, {
        secrets,
        onEvent: (event) => lines.push(JSON.stringify(event)),
      });
      expect(error.code).toBe('SECRET_LEAK');
      const failed = await steps.error(`RUN ${mounts} echo "in $WORD"; exit 3`, {
        secrets,
        onEvent: (event) => {
          if (event.type === 'log') lines.push(Buffer.from(event.data).toString());
        },
      });
      expect(failed.message).toMatch(/exit code: 3$/);
      expect(lines.join('\n')).toContain('in ****');
      for (const text of [...lines, error.message, failed.message, error.source?.source.text, failed.stack])
        expect(text).not.toContain(word);
    });

    test('a key of --ssh is a secret as well', async () => {
      const key = join(steps.path, `key-${runtime}`);
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
      const ssh = [{ id: 'default', paths: [key] }];
      const text = readFileSync(key, 'utf8');
      const copy = (content: string): string => `RUN --mount=type=ssh cat >/k <<'E'\n${content}E\n`;
      const error = await steps.error(`FROM scratch\nCOPY <<f /k\n${text}f`, { ssh });
      expect([error.code, error.message.split('\n')[0]]).toEqual([
        'SECRET_LEAK',
        'the secret `ssh:default` is in /k',
      ]);
      const { states } = await steps.build(copy(readFileSync(`${key}.pub`, 'utf8')), { ssh });
      expect(states.at(-1)).toMatch(/:done$/);
    });
  });
});
