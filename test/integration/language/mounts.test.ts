import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LOCK_EX, flock } from '../../../src/host/syscalls.ts';
import type { BuildOptions, ProgressEvent } from '../../../src/index.ts';
import { suite, tool } from '../../support/require.ts';
import { copyPrograms } from '../../support/programs.ts';
import { makeKey, startAgent } from '../../support/ssh.ts';
import { runtimes } from '../executor-steps.ts';
import type { Steps } from './steps.ts';
import { openSteps } from './steps.ts';

const cached = { noCache: false } as const;

suite(
  'mounts of steps',
  ['root', tool('runc'), tool('busybox', 'busybox-static'), tool('ssh-agent', 'openssh-client')],
  () => {
    describe.each(runtimes)('on %s', (runtime) => {
      let steps: Steps;
      beforeAll(async () => {
        steps = await openSteps(`mounts-${runtime}`, runtime);
        mkdirSync(join(steps.context, 'sub'));
        writeFileSync(join(steps.context, 'file'), 'of the context\n');
        writeFileSync(join(steps.context, 'sub/inner'), 'inner\n');
        writeFileSync(join(steps.context, 'hidden'), 'hidden\n');
        writeFileSync(join(steps.context, '.dockerignore'), 'hidden\n');
        symlinkSync('../../../../../../etc', join(steps.context, 'out'));
      });
      afterAll(() => steps[Symbol.asyncDispose]());

      test('L-MNT-1: the context, parts of it, a stage, an image; read-only', async () => {
        const text = [
          'FROM base AS tools',
          'RUN mkdir -p /opt/tool && echo tool >/opt/tool/name',
          'FROM base',
          'WORKDIR /w',
          'RUN --mount=target=ctx ls /w/ctx; cat ctx/file; test -e ctx/hidden || echo ignored',
          'RUN --mount=source=sub,dst=/s --mount=src=/sub/inner,destination=/one cat /s/inner /one',
          'RUN --mount=from=tools,source=opt,target=/t --mount=from=0,target=/all cat /t/tool/name /all/opt/tool/name',
          'RUN --mount=from=base,source=/etc,target=/etc2 head -1 /etc2/group',
          'RUN --mount=target=/ctx touch /ctx/new 2>/dev/null || echo ro; test -e /ctx/new || echo none',
        ];
        expect(await steps.says(text.join('\n'))).toEqual([
          ...['file', 'out', 'sub', 'of the context', 'ignored'],
          ...['inner', 'inner', 'tool', 'tool', 'root:x:0:', 'ro', 'none'],
        ]);
      });

      test('L-MNT-1: what is written with rw is thrown away', async () => {
        const text = [
          'FROM base AS tools',
          'RUN mkdir /opt && echo old >/opt/file',
          'FROM base',
          'RUN --mount=target=/c,rw --mount=from=tools,source=/opt,target=/t,rw echo new | tee /c/file /c/more /t/file >/dev/null; rm -r /c/sub; cat /c/file /t/file; ls /c',
          'RUN --mount=target=/c --mount=from=tools,source=/opt,target=/t cat /c/file /t/file; ls /c',
        ];
        expect(await steps.says(text.join('\n'))).toEqual([
          ...['new', 'new', 'file', 'more', 'out'],
          ...['of the context', 'old', 'file', 'out', 'sub'],
        ]);
        expect(readFileSync(join(steps.context, 'file'), 'utf8')).toBe('of the context\n');
        const [layer] = await steps.layers('RUN --mount=target=/c,rw echo x >/c/file; mkdir /c/d');
        expect(layer).toEqual([]);
      });

      test('L-MNT-1: a source that is not there, and one that leads out', async () => {
        const error = await steps.error('RUN --mount=source=nope,target=/x true');
        expect(error).toMatchObject({
          code: 'STEP_START',
          message: '/nope cannot be mounted at /x: it does not exist',
        });
        expect(error.source?.range.start.line).toBe(2);
        const outside = await steps.error('RUN --mount=source=out/passwd,target=/x cat /x');
        expect(outside.code).toBe('STEP_START');
        const onFile = await steps.error('RUN --mount=target=/etc/passwd true');
        expect(onFile.message).toBe(
          'nothing can be mounted at /etc/passwd: it is a file, what is mounted is a directory',
        );
      });

      test('L-MNT-1: the content of the source is in the cache key, and of nothing beside it', async () => {
        const text = 'RUN --mount=source=sub,target=/s cat /s/inner';
        expect(await steps.says(text, cached)).toEqual(['inner']);
        writeFileSync(join(steps.context, 'beside'), 'x');
        expect((await steps.build(text, cached)).states).toContain(
          'RUN --mount=source=sub,target=/s cat /s/inner:cached',
        );
        writeFileSync(join(steps.context, 'sub/inner'), 'changed\n');
        expect(await steps.says(text, cached)).toEqual(['changed']);
        writeFileSync(join(steps.context, 'sub/inner'), 'inner\n');
      });

      test('L-MNT-2: a cache mount keeps its content, which is in no layer and no cache key', async () => {
        const add = (word: string): string =>
          `RUN --mount=type=cache,target=/var/cache/a echo ${word} >>/var/cache/a/log; cat /var/cache/a/log`;
        expect(await steps.says(add('one'))).toEqual(['one']);
        expect(await steps.says(add('two'))).toEqual(['one', 'two']);
        expect(await steps.layers(add('three'))).toEqual([[]]);
        const look = 'RUN --mount=type=cache,target=/var/cache/a cat /var/cache/a/log';
        expect(await steps.says(look, cached)).toEqual(['one', 'two', 'three']);
        await steps.build(add('four'));
        expect((await steps.build(look, cached)).states).toContain(`${look}:cached`);
      });

      test('L-MNT-2: the id is the target, else what is written; BUILDKIT_CACHE_MOUNT_NS keeps builds apart', async () => {
        const write = 'RUN --mount=type=cache,target=/ids/x echo by target >/ids/x/f; ls /ids/x';
        await steps.build(write);
        const look = 'ls /y';
        expect(await steps.says(`RUN --mount=type=cache,id=/ids/x,target=/y ${look}`)).toEqual(['f']);
        expect(await steps.says(`RUN --mount=type=cache,id=other,target=/y ${look}`)).toEqual([]);
        expect(await steps.says(`WORKDIR /ids\nRUN --mount=type=cache,target=z/../x ls x`)).toEqual(['f']);
        const space = { buildArgs: { BUILDKIT_CACHE_MOUNT_NS: 'mine' } };
        expect(
          await steps.says(`RUN --mount=type=cache,id=/ids/x,target=/y ${look}; touch /y/g`, space),
        ).toEqual([]);
        expect(await steps.says(`RUN --mount=type=cache,id=/ids/x,target=/y ${look}`, space)).toEqual(['g']);
      });

      test('L-MNT-2: mode, owner, ro; and what `from` has at `source` is its first content', async () => {
        const text = [
          'FROM base AS seed',
          'RUN mkdir -p /seed/deep && echo seeded >/seed/deep/file && chown -R app /seed/deep',
          'FROM base',
          'RUN --mount=type=cache,target=/m,mode=01770,uid=1000,gid=2000 --mount=type=cache,target=/n stat -c "%n %a %u:%g" /m /n',
          'RUN --mount=type=cache,target=/s,from=seed,source=/seed cat /s/deep/file; stat -c "%u %a" /s/deep /s; echo more >/s/more; rm -r /s/deep',
          'RUN --mount=type=cache,target=/s,from=seed,source=/seed ls /s',
          'RUN --mount=type=cache,target=/s,ro ls /s; touch /s/x 2>/dev/null || echo ro',
        ];
        expect(await steps.says(text.join('\n'))).toEqual([
          ...['/m 1770 1000:2000', '/n 755 0:0', 'seeded', '1000 755', '0 755', 'more', 'more', 'ro'],
        ]);
        const file = await steps.error('RUN --mount=type=cache,target=/from-file,source=file,from=base true');
        expect(file).toMatchObject({ code: 'STEP_START' });
      });

      /** Two stages side by side, each with these mounts and a command that names the stage `$n`. */
      const two = (mounts: string, words: string): string =>
        ['a', 'b']
          .map((n) => `FROM base AS ${n}\nARG n=${n}\nRUN ${mounts} ${words} && touch /done-${n}\n`)
          .join('') + 'FROM base\nCOPY --from=a /done-a /\nCOPY --from=b /done-b /';
      /** Waits until both steps are here: only steps that run at once come past it. */
      const meet = (cache: string): string =>
        `{ touch ${cache}/$n; until [ -e ${cache}/a -a -e ${cache}/b ]; do sleep 0.02; done; }`;

      test('L-MNT-2: shared: two write at once; private: whoever comes second has a directory of its own', async () => {
        const mounts = '--mount=type=cache,target=/meet-1 --mount=type=cache,target=/own,sharing=private';
        const words = `${meet('/meet-1')} && echo $n >/own/$n && ${meet('/meet-1')} && sleep 0.1 && ls /own`;
        const said = await steps.says(two(mounts, words), { parallelism: 2 });
        expect(said.toSorted()).toEqual(['a', 'b']);
        // Alone, a step gets the first one.
        expect(
          await steps.says('RUN --mount=type=cache,target=/own,sharing=private ls /own | wc -l'),
        ).toEqual(['1']);
      });

      test('L-MNT-2: locked: the second waits for the first', async () => {
        // mkdir fails where the other is inside.
        const words = 'mkdir /l/inside && echo $n && sleep 0.3 && rmdir /l/inside';
        const said = await steps.says(two('--mount=type=cache,target=/l,sharing=locked', words), {
          parallelism: 2,
        });
        expect(said.toSorted()).toEqual(['a', 'b']);
      });

      test('L-MNT-2: locked mounts in another order do not wait for each other, with one slot and with two', async () => {
        const mount = (name: string): string => `--mount=type=cache,target=/order/${name},sharing=locked`;
        for (const parallelism of [1, 2]) {
          const text = [
            `FROM base AS a\nRUN ${mount('x')} ${mount('y')} echo a && touch /a`,
            `FROM base AS b\nRUN ${mount('y')} ${mount('x')} echo b && touch /b`,
            'FROM base\nCOPY --from=a /a /\nCOPY --from=b /b /',
          ];
          expect((await steps.says(text.join('\n'), { parallelism })).toSorted()).toEqual(['a', 'b']);
        }
      });

      test('L-MNT-2: who waits for a locked mount holds no slot', async () => {
        const mount = '--mount=type=cache,id=held,target=/c,sharing=locked';
        await steps.build(`RUN ${mount} true`);
        const directories = join(steps.path, 'store/cache-mounts');
        const locks = readdirSync(directories).map((name) => openSync(join(directories, name, 'lock'), 'r'));
        for (const lock of locks) expect(flock(lock, LOCK_EX)).toBe(true);
        const text = [
          `FROM base AS waits\nRUN ${mount} echo waited && touch /a`,
          'FROM base AS goes\nRUN echo went on && touch /b',
          'FROM base\nCOPY --from=waits /a /\nCOPY --from=goes /b /',
        ];
        const order: string[] = [];
        const onEvent = (event: ProgressEvent): void => {
          if (event.type !== 'vertex' || event.state !== 'done') return;
          const name = /RUN .*(waited|went on)/.exec(event.name)?.[1];
          if (name === undefined) return;
          order.push(name);
          // Only now may the other one go on: with its slot taken by the first one this would never come.
          for (const lock of locks.splice(0)) closeSync(lock);
        };
        const said = await steps.says(text.join('\n'), { parallelism: 1, onEvent });
        expect(order).toEqual(['went on', 'waited']);
        expect(said).toEqual(['went on', 'waited']);
      });

      test('L-MNT-3: a tmpfs is empty, writable, as large as was asked for, and in no layer', async () => {
        const text = [
          'RUN mkdir /old && echo x >/old/file && chmod 750 /old',
          'RUN --mount=type=tmpfs,target=/old ls -A /old; grep " /old " /proc/mounts | cut -d" " -f3; touch /old/new; ls /old',
          'RUN --mount=type=tmpfs,target=/t,size=64k stat -c %a /t; df -k /t | tail -1 | tr -s " " | cut -d" " -f2; dd if=/dev/zero of=/t/x bs=1k count=65 2>/dev/null || echo full',
          'RUN --mount=type=tmpfs,target=/t,ro touch /t/x 2>/dev/null || echo ro',
          'RUN ls /old; test -e /t || echo gone',
        ];
        expect(await steps.says(text.join('\n'))).toEqual([
          ...['tmpfs', 'new', '1777', '64', 'full', 'ro', 'file', 'gone'],
        ]);
        const [layer] = await steps.layers('RUN --mount=type=tmpfs,target=/root touch /root/x');
        expect(layer).toEqual([]);
      });

      const secrets: BuildOptions['secrets'] = [
        { id: 'token', value: 'told\n' },
        { id: 'dir/name', value: 'below' },
      ];

      test('L-MNT-4: a secret as a file, on a tmpfs alone, with its owner', async () => {
        const text = [
          'RUN --mount=type=secret,id=token cat /run/secrets/token; stat -c "%a %u:%g" /run/secrets/token; stat -f -c %T /run/secrets/token',
          'RUN --mount=type=secret,id=dir/name cat /run/secrets/name; echo',
          'RUN --mount=type=secret,target=/a/token,mode=0640,uid=1000,gid=2000 cat /a/token; stat -c "%a %u:%g" /a/token',
          'RUN --mount=type=secret,source=token,target=/b ls /run/secrets 2>/dev/null; cat /b; echo x 2>/dev/null >/b || echo ro',
          'USER app',
          'RUN --mount=type=secret,id=token cat /run/secrets/token 2>/dev/null || echo denied',
          'RUN --mount=type=secret,id=token,uid=1000 cat /run/secrets/token',
        ];
        expect(await steps.says(text.join('\n'), { secrets })).toEqual([
          ...['****', '400 0:0', 'tmpfs', '****', '****', '640 1000:2000', '****', 'ro', 'denied', '****'],
        ]);
      });

      test('L-MNT-4: a secret as a variable, as both, and one that was not given', async () => {
        const text = [
          'RUN --mount=type=secret,id=token,env=TOKEN echo "<$TOKEN>"; ls /run/secrets 2>/dev/null | wc -l',
          'RUN --mount=type=secret,id=token,env=TOKEN,target=/both echo "$TOKEN" | head -1; cat /both',
          'ENV TOKEN=old',
          'RUN --mount=type=secret,id=dir/name,env=TOKEN echo $TOKEN',
          'RUN echo $TOKEN',
          'RUN --mount=type=secret,id=none --mount=type=secret,id=none,env=N,target=/n ls /run/secrets/none /n 2>/dev/null; echo "${N-unset}"',
        ];
        expect(await steps.says(text.join('\n'), { secrets })).toEqual([
          ...['<****', '>', '0', '****', '****', '****', 'old', 'unset'],
        ]);
        const missing = await steps.error('RUN true\nRUN --mount=type=secret,id=none,required true');
        expect(missing).toMatchObject({
          code: 'SECRET_MISSING',
          message: 'secret `none` is required by the step and was not given',
          hint: 'give it with --secret id=none,src=<file>',
        });
        expect(missing.source?.range.start.line).toBe(3);
      });

      test('L-MNT-4: neither file nor directory of a secret is in the layer; its value is in no cache key, its id is', async () => {
        const text =
          'RUN --mount=type=secret,id=token --mount=type=secret,id=dir/name,target=/etc/x/name,env=E true && touch /ok';
        const layers = await steps.layers(text, { secrets });
        expect(layers.map((entries) => entries.map(({ path }) => path))).toEqual([['ok']]);
        const use = 'RUN --mount=type=secret,id=token cat /run/secrets/token';
        expect(await steps.says(use, { ...cached, secrets })).toEqual(['****']);
        const other = [{ id: 'token', value: 'other\n' }];
        expect((await steps.build(use, { ...cached, secrets: other })).states).toContain(`${use}:cached`);
        const renamed = use.replace('id=token', 'id=token2,target=/run/secrets/token');
        expect(await steps.says(renamed, { ...cached, secrets: [{ id: 'token2', value: 'new\n' }] })).toEqual(
          ['new'],
        );
      });

      test('L-MNT-4: up to 500 KiB', async () => {
        const limit = 500 * 1024;
        const text = 'RUN --mount=type=secret,id=big wc -c </run/secrets/big';
        const sized = (size: number): BuildOptions => ({
          secrets: [{ id: 'big', value: new Uint8Array(size) }],
        });
        expect(await steps.says(text, sized(limit))).toEqual([String(limit)]);
        expect(await steps.error(text, sized(limit + 1))).toMatchObject({ code: 'SECRET_MISSING' });
        const file = join(steps.path, 'big');
        writeFileSync(file, new Uint8Array(limit + 1));
        expect(await steps.error(text, { secrets: [{ id: 'big', file }] })).toMatchObject({
          code: 'SECRET_MISSING',
          message: 'the secret `big` is larger than 500 KiB',
        });
        const binary = await steps.error('RUN --mount=type=secret,id=big,env=B true', sized(3));
        expect(binary.message).toBe('secret `big` has a NUL byte and fits no variable');
      });

      test('L-MNT-5: agents as sockets, numbered, with their owner; the first is SSH_AUTH_SOCK', async () => {
        using agent = startAgent(join(steps.path, 'agent'));
        const key = makeKey(join(steps.path, 'key'), 'ed25519');
        const [forwarded, other] = ['a', 'b'].map((name) => makeKey(join(steps.path, name), 'ecdsa'));
        agent.add(forwarded?.file ?? '');
        copyPrograms(['ssh-add'], join(steps.context, 'tools'));
        copyFileSync(other?.file ?? '', join(steps.context, 'tools/other'));
        const ssh = [
          { id: 'default', paths: [key.file] },
          { id: 'two', paths: [agent.socket] },
        ];
        const own = '--mount=type=ssh';
        const both = `--mount=type=bind,target=/c ${own} --mount=type=ssh,id=two`;
        const add = '/c/tools/bin/ssh-add';
        const change = ['/c/tools/other', '-D', '-d /c/tools/other', '-x'];
        const text = [
          `RUN ${own} echo $SSH_AUTH_SOCK; stat -c "%F %a %u:%g" $SSH_AUTH_SOCK`,
          `RUN --mount=type=ssh,id=two ${own},required ${own},target=/own/sock,mode=0666,uid=1000,gid=2000 ls /run/buildkit; stat -c "%a %u:%g" /own/sock; echo $SSH_AUTH_SOCK`,
          'RUN echo "${SSH_AUTH_SOCK-unset}"; test -e /run/buildkit || echo gone',
          'RUN --mount=type=ssh,id=none test -e /run/buildkit/ssh_agent.0 || echo none',
          `RUN ${both} <<E
          for number in 0 1; do
            export SSH_AUTH_SOCK=/run/buildkit/ssh_agent.$number
            ${change.map((what) => `echo x | ${add} ${what} 2>/dev/null && echo taken: '${what}'`).join('\n')}
            ${add} -L
          done\nE`,
        ];
        const says = (await steps.says(text.join('\n'), { ssh })).map((line) => line.trim());
        expect(says).toEqual([
          ...['/run/buildkit/ssh_agent.0', 'socket 600 0:0'],
          ...['ssh_agent.0', 'ssh_agent.1', '666 1000:2000', '/run/buildkit/ssh_agent.0'],
          ...['unset', 'gone', 'none'],
          // Of its comment nothing is said where the key is a file.
          key.publicLine.split(' ').slice(0, 2).join(' '),
          forwarded?.publicLine,
        ]);
        expect(agent.lists()).toBe(forwarded?.publicLine);
        expect(await steps.error('RUN --mount=type=ssh,id=none,required true', { ssh })).toMatchObject({
          code: 'SECRET_MISSING',
          message: 'ssh agent `none` is required by the step and was not given',
          hint: 'give it with --ssh none',
        });
        const [layer] = await steps.layers('RUN --mount=type=ssh touch /ok', { ssh });
        expect(layer?.map(({ path }) => path)).toEqual(['ok']);
      });

      test('L-MNT-1 L-MNT-6: mounts below mounts, in whatever order they are written', async () => {
        const text =
          'RUN --mount=type=tmpfs,target=/m/in --mount=type=secret,id=token,target=/m/in/deep/token --mount=type=cache,target=/m ls /m /m/in; cat /m/in/deep/token';
        expect(await steps.says(text, { secrets })).toEqual(['/m:', 'in', '', '/m/in:', 'deep', '****']);
        for (const target of ['/proc', '/proc/x', '/dev', '/sys'])
          expect(await steps.error(`RUN --mount=type=tmpfs,target=${target} true`)).toMatchObject({
            code: 'STEP_START',
            message: `nothing can be mounted at ${target}`,
          });
        expect(
          await steps.says('RUN --mount=type=tmpfs,target=/dev/extra touch /dev/extra/x && echo made'),
        ).toEqual(['made']);
      });
    });
  },
);
