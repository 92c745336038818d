import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build } from '../../src/index.ts';
import { copyPrograms } from '../support/programs.ts';
import { requireTool, suite, tool } from '../support/require.ts';
import type { SshServer, TestKey } from '../support/ssh.ts';
import { makeKey, startSshServer } from '../support/ssh.ts';
import type { TestUser } from '../support/users.ts';
import { makeUser } from '../support/users.ts';
import type { Steps } from './language/steps.ts';
import { openSteps } from './language/steps.ts';

const formats: Readonly<Record<string, readonly [string, ...string[]]>> = {
  ed25519: ['ed25519'],
  rsa: ['rsa', '-b', '2048'],
  'rsa-pem': ['rsa', '-b', '2048', '-m', 'PEM'],
  'rsa-pkcs8': ['rsa', '-b', '2048', '-m', 'PKCS8'],
  ecdsa256: ['ecdsa', '-b', '256'],
  'ecdsa384-pem': ['ecdsa', '-b', '384', '-m', 'PEM'],
  ecdsa521: ['ecdsa', '-b', '521'],
};

suite(
  'C-SE-2 L-MNT-5: keys of --ssh, with OpenSSH and git on both sides',
  ['root', tool('runc'), tool('busybox', 'busybox-static'), tool('sshd', 'openssh-server'), tool('git')],
  () => {
    const opened = new AsyncDisposableStack();
    let [steps, user, server]: [Steps, TestUser, SshServer] = [] as never;
    const keys = new Map<string, TestKey>();
    let repository = '';
    beforeAll(async () => {
      steps = opened.use(await openSteps('ssh'));
      user = opened.use(await makeUser('none'));
      for (const [name, [type, ...flags]] of Object.entries(formats))
        keys.set(name, makeKey(join(steps.path, name), type, ['-N', '', ...flags]));
      server = opened.use(await startSshServer(user, [...keys.values()]));
      copyPrograms(['ssh', 'git'], join(steps.context, 'tools'));
      writeFileSync(join(steps.context, 'known_hosts'), `${server.knownHost}\n`);
      repository = join(user.home, 'private.git');
      const commands = `git init -q work && cd work && echo private >file && git add file
        git -c user.name=t -c user.email=t@t commit -qm one && git clone -q --bare . "${repository}"`;
      expect((await user.run('sh', ['-c', commands])).code).toBe(0);
    });
    afterAll(() => opened.disposeAsync());

    const common = { network: 'host', allow: ['network.host'] } as const;
    const mount = '--mount=type=bind,target=/c';
    const ssh = (): string =>
      `ssh -p ${server.port} -o UserKnownHostsFile=/c/known_hosts -o BatchMode=yes -l ${user.name}`;

    test('a step logs in with each kind of key', async () => {
      const names = [...keys.keys()];
      const agents = names.map((name) => `--mount=type=ssh,id=${name}`).join(' ');
      const logins = names.map(
        (name, index) =>
          `SSH_AUTH_SOCK=/run/buildkit/ssh_agent.${index} ${ssh()} 127.0.0.1 echo ${name} of \\$USER`,
      );
      const text = `RUN ${mount} ${agents} <<E\nset -e\nPATH=/c/tools/bin:$PATH\n${logins.join('\n')}\nE`;
      const options = names.map((id) => ({ id, paths: [keys.get(id)?.file ?? ''] }));
      expect(await steps.says(text, { ...common, ssh: options })).toEqual(
        names.map((name) => `${name} of ${user.name}`),
      );
      const taken = [...server.log().matchAll(/Accepted publickey for .* ssh2: (\S+) /g)];
      expect(taken.map(([, kind]) => kind)).toEqual(
        names.map((name) =>
          name
            .replace(/\d*-.*|\d+$/, '')
            .toUpperCase()
            .replace('ED', 'ED25519'),
        ),
      );
    });

    test('a step clones a repository with the second of two keys', async () => {
      const strange = makeKey(join(steps.path, 'strange'), 'ed25519');
      const text = `RUN ${mount} --mount=type=ssh <<E
        export PATH=/c/tools/bin:$PATH GIT_EXEC_PATH=/c/tools/bin GIT_SSH_COMMAND='${ssh()}'
        git clone -q ssh://127.0.0.1${repository} /src && cat /src/file\nE`;
      const paths = [strange.file, keys.get('rsa')?.file ?? ''];
      expect(await steps.says(text, { ...common, ssh: [{ id: 'default', paths }] })).toEqual(['private']);
      const alone = await steps.error(text, { ...common, ssh: [{ id: 'default', paths: [strange.file] }] });
      expect(alone.code).toBe('STEP_FAILED');
    });

    test('L-ADD-4: ADD of a repository, from a store that lies deep', async () => {
      // The user's own known_hosts stays as it is.
      const programs = join(steps.path, 'programs');
      mkdirSync(programs);
      writeFileSync(
        join(programs, 'ssh'),
        `#!/bin/sh\nexec ${requireTool('ssh')} -o UserKnownHostsFile=${steps.context}/known_hosts "$@"\n`,
      );
      chmodSync(join(programs, 'ssh'), 0o755);
      const url = `ssh://${user.name}@127.0.0.1:${server.port}${repository}`;
      const output = join(steps.path, 'added');
      await build({
        root: join(steps.path, 'd'.repeat(80), 'store'),
        context: steps.context,
        dockerfile: { text: `FROM scratch\nADD ${url} /` },
        env: { PATH: `${programs}:${process.env['PATH'] ?? ''}` },
        ssh: [{ id: 'default', paths: [keys.get('ecdsa521')?.file ?? ''] }],
        outputs: [{ type: 'local', dest: output }],
      });
      expect(readFileSync(join(output, 'file'), 'utf8')).toBe('private\n');
    });

    test('keys with a passphrase, in each format', async () => {
      for (const format of ['RFC4716', 'PEM', 'PKCS8']) {
        const { file } = makeKey(join(steps.path, `locked-${format}`), 'rsa', [
          '-N',
          'a phrase',
          '-m',
          format,
        ]);
        const error = await steps.error('RUN --mount=type=ssh true', { ssh: [{ id: 'k', paths: [file] }] });
        expect(error).toMatchObject({
          code: 'SECRET_MISSING',
          message: `--ssh k: ${file} is encrypted with a passphrase, and nobody is asked for one`,
          hint: 'load it into an agent (ssh-add), and hand that over: --ssh default',
        });
        execFileSync('ssh-keygen', ['-q', '-p', '-P', 'a phrase', '-N', '', '-f', file]);
        await steps.build('RUN --mount=type=ssh,id=k true', { ssh: [{ id: 'k', paths: [file] }] });
      }
    });
  },
);
