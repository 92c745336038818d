import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import type { CommandOptions, CommandResult } from '../support/cli.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { makeUser } from '../support/users.ts';

const needs = [
  'root',
  tool('git'),
  tool('docker-registry'),
  tool('busybox', 'busybox-static'),
  tool('newuidmap', 'uidmap'),
] as const;

interface Step {
  readonly name: string;
  readonly key?: string;
  readonly completed?: string;
  readonly cached?: boolean;
}

/** Key of each step of the Dockerfile, and which of them ran. */
function stepsOf({ stderr }: CommandResult): {
  readonly keys: Record<string, string>;
  readonly ran: readonly string[];
} {
  const keys: Record<string, string> = {};
  const ran: string[] = [];
  for (const line of stderr.split('\n').filter((text) => text.startsWith('{'))) {
    for (const step of (JSON.parse(line) as { readonly vertexes?: readonly Step[] }).vertexes ?? []) {
      if (!/^\[(?!internal)/.test(step.name)) continue;
      if (step.key !== undefined) keys[step.name] = step.key;
      if (step.completed !== undefined && step.cached !== true) ran.push(step.name);
    }
  }
  return { keys, ran };
}

suite('two checkouts of one repository', needs, () => {
  test('share every cache key: other folders, users, time zones, and with --context-modes=git other umasks', async () => {
    await using work = await tempFolder('checkouts');
    await using registry = await startRegistry();
    const base = `${registry.host}/base/busybox:1`;
    const seed = join(work.path, 'seed');
    await makeBase(seed, base, busyboxRootfs());
    await must(tsbuild(['push', '--root', seed, base]));
    const repository = join(work.path, 'repository');
    mkdirSync(join(repository, 'src'), { recursive: true });
    const lines = [
      `FROM ${base} AS build`,
      'COPY src /src',
      'RUN --mount=source=src,target=/m cat /m/run.sh /src/a >/out',
      `FROM ${base}`,
      'WORKDIR /app',
      'COPY --chown=app . .',
      'COPY --from=build /out /out',
      'RUN cat /out >/again',
      '',
    ];
    writeFileSync(join(repository, 'Dockerfile'), lines.join('\n'));
    writeFileSync(join(repository, '.dockerignore'), '.git\n');
    writeFileSync(join(repository, 'src/a'), 'a');
    writeFileSync(join(repository, 'src/run.sh'), '#!/bin/sh\n');
    chmodSync(join(repository, 'src/run.sh'), 0o755);
    const git = 'git -c user.name=t -c user.email=t@example.com';
    await must(
      command(
        'sh',
        ['-c', `git init -q && git add . && ${git} commit -qm one && git bundle create -q ../bundle HEAD`],
        { cwd: repository },
      ),
    );
    chmodSync(work.path, 0o755);

    await using ann = await makeUser('subordinate');
    await using bob = await makeUser('subordinate');
    const root = (
      program: string,
      args: readonly string[],
      options: CommandOptions = {},
    ): Promise<CommandResult> => command(program, args, { cwd: work.path, ...options });
    const people = [
      {
        home: ann.home,
        run: ann.run,
        tsbuild: ann.tsbuild,
        umask: '022',
        folder: 'project',
        zone: 'Asia/Tokyo',
      },
      {
        home: bob.home,
        run: bob.run,
        tsbuild: bob.tsbuild,
        umask: '022',
        folder: 'a/b/c',
        zone: 'America/Lima',
      },
      // As a container does it for a CI job: root's files, and nobody else may read them.
      { home: work.path, run: root, tsbuild, umask: '077', folder: 'builds/x', zone: 'UTC' },
    ];
    const cache = join(work.path, 'cache');
    mkdirSync(cache, { mode: 0o777 });
    chmodSync(cache, 0o777);
    // A bundle, for git reads no repository of somebody else.
    const clone = `git clone -q ${join(work.path, 'bundle')}`;
    const build = async (
      who: (typeof people)[number],
      ...flags: string[]
    ): Promise<ReturnType<typeof stepsOf>> => {
      const args = [
        '--root',
        join(who.home, `store-${flags.length}`),
        '--progress',
        'rawjson',
        '-o',
        'type=cacheonly',
      ];
      const options = { env: { TZ: who.zone, LC_ALL: 'C' } };
      const result = await who.tsbuild([...args, ...flags, join(who.home, who.folder)], options);
      expect(result.code, result.stderr).toBe(0);
      return stepsOf(result);
    };
    for (const { home, run, umask, folder } of people)
      await must(run('sh', ['-c', `umask ${umask} && ${clone} ${join(home, folder)}`]));
    const [laptop, other, container] = people as [(typeof people)[0], (typeof people)[0], (typeof people)[0]];

    // With the same umask nothing more is needed.
    const first = await build(laptop);
    expect(Object.keys(first.keys)).toHaveLength(7);
    expect((await build(other)).keys).toEqual(first.keys);
    expect((await build(container)).keys).not.toEqual(first.keys);

    const modes = '--context-modes=git';
    const shared = await build(laptop, modes, '--cache-to', `type=local,dest=${cache}/c,mode=max`);
    expect((await build(other, modes)).keys).toEqual(shared.keys);
    // A machine that has nothing but the laptop's cache.
    const cold = await build(container, modes, '--cache-from', `type=local,src=${cache}/c`);
    expect(cold.keys).toEqual(shared.keys);
    expect(cold.ran.filter((name) => !name.includes('FROM'))).toEqual([]);
  });
});
