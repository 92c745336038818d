import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { binary } from '../support/paths.ts';
import { tries, withSeed } from '../support/effort.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { TestUser } from '../support/users.ts';
import { makeUser } from '../support/users.ts';

const needs = [
  'root',
  tool('busybox', 'busybox-static'),
  tool('runc'),
  tool('slirp4netns'),
  tool('newuidmap', 'uidmap'),
] as const;

/** Of builds, in each column. */
const kills = tries({ full: 20, short: 5 });

/** Of no other program on the machine. */
const duration = '8642097';

/** Steps side by side, with mounts, and processes that do not want to end. */
const dockerfile = `FROM localhost/busybox AS one
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/memory --mount=type=secret,id=word \\
    sh -c 'trap "" TERM INT HUP; setsid sleep ${duration} & (sleep ${duration} &); dd if=/dev/zero of=/file bs=1M count=20; sleep ${duration}'
FROM localhost/busybox AS two
RUN --mount=type=bind,target=/context,rw sh -c 'nohup setsid sh -c "sleep ${duration} & wait" & sleep 0.05; echo x >/context/x; sleep ${duration}'
FROM localhost/busybox
RUN --mount=type=bind,from=localhost/busybox,target=/base sh -c 'i=0; while [ $i -lt 400 ]; do i=$((i+1)); mkdir -p /d/$i; echo $i >/d/$i/f; done'
COPY --from=one /file /one
COPY --from=two /file /two
`;

suite('killed at random moments', needs, () => {
  let work: TempFolder;
  let users: Readonly<Record<'many' | 'one', TestUser>>;

  beforeAll(async () => {
    work = await tempFolder('kills');
    mkdirSync(join(work.path, 'context'));
    writeFileSync(join(work.path, 'context/Dockerfile'), dockerfile);
    await must(command('chmod', ['-R', 'u=rwX,go=rX', work.path]));
    users = { many: await makeUser('subordinate'), one: await makeUser('none') };
  });
  afterAll(async () => {
    await work[Symbol.asyncDispose]();
    for (const user of Object.values(users)) await user[Symbol.asyncDispose]();
  });

  const columns = [
    { name: 'root, runc', runtime: 'runc', ids: 'root' },
    { name: 'root, embedded', runtime: 'embedded', ids: 'root' },
    { name: 'subordinate ids, runc', runtime: 'runc', ids: 'many' },
    { name: 'subordinate ids, embedded', runtime: 'embedded', ids: 'many' },
    { name: 'a single id, embedded', runtime: 'embedded', ids: 'one' },
  ] as const;

  test.each(columns)('$name: nothing is left', { timeout: 600_000 }, ({ runtime, ids }) =>
    withSeed(async (_, next) => {
      const user = ids === 'root' ? undefined : users[ids];
      const home = user?.home ?? work.path;
      const store = join(home, `store-${runtime}`);
      await makeBase(store, 'localhost/busybox', busyboxRootfs());
      if (user !== undefined) await must(command('chown', ['-R', String(user.uid), store]));
      const run = user?.tsbuild ?? tsbuild;
      const folder = join(home, 'small');
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'Dockerfile'), 'FROM localhost/busybox\nRUN true\n');
      const small = ['--root', store, '--runtime', runtime, '--no-cache', folder];
      // The trial of the runtime, and whatever the kernel makes once.
      await must(run(small));
      const before = traces();
      const signals = ['SIGKILL', 'SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGINT'] as const;
      for (let count = 0; count < kills; count += 1) {
        const signal = signals[Math.floor(next() * signals.length)] ?? 'SIGKILL';
        const args = ['--root', store, '--runtime', runtime, '--secret', 'id=word,env=HOME', '--no-cache'];
        await killed({
          args: [...args, join(work.path, 'context')],
          as: user,
          // Most while steps run, some before.
          once: next() < 0.8 ? () => alive(store).length > 0 : () => true,
          after: Math.floor(next() * 500),
          signal,
        });
        // The kernel ends what belongs to a dead build; that takes it a moment.
        for (let turn = 0; turn < 200 && alive(store).length > 0; turn += 1) await sleep(10);
        expect(alive(store), `${count}: ${signal}`).toEqual([]);
      }
      await must(run(small));
      // What others on this machine make meanwhile does not stay.
      let left = [...traces()].filter((trace) => !before.has(trace));
      for (let turn = 0; turn < 100 && left.length > 0; turn += 1) {
        await sleep(100);
        const now = traces();
        left = left.filter((trace) => now.has(trace));
      }
      expect(left).toEqual([]);
      expect(readdirSync(join(store, 'snapshots'))).toEqual([]);
      expect(readdirSync(join(store, 'tmp'))).toEqual([]);
    }),
  );

  interface Kill {
    readonly args: readonly string[];
    readonly as: TestUser | undefined;
    readonly once: () => boolean;
    /** Milliseconds after that. */
    readonly after: number;
    readonly signal: NodeJS.Signals;
  }

  async function killed({ args, as, once, after, signal }: Kill): Promise<void> {
    const words = [process.execPath, binary, ...args];
    const id = String(as?.uid);
    const [program = '', ...rest] =
      as === undefined ? words : ['setpriv', '--reuid', id, '--regid', id, '--clear-groups', '--', ...words];
    const env = as === undefined ? process.env : { ...process.env, HOME: as.home };
    const child = spawn(program, rest, { stdio: 'ignore', env, cwd: as?.home ?? work.path });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    while (!once() && child.exitCode === null) await sleep(5);
    await sleep(after);
    // It would not have ended by itself: the steps do not.
    expect(child.exitCode).toBe(null);
    child.kill(signal);
    await ended;
  }
});

/** Processes of steps, and those around them. */
function alive(store: string): string[] {
  return processes()
    .filter(({ pid, line }) => line.includes(duration) || linkOf(`/proc/${pid}/cwd`).startsWith(store))
    .map(({ line }) => line);
}

/** What builds could leave on the machine: mounts, namespaces, cgroups, helpers. */
function traces(): ReadonlySet<string> {
  const kinds = ['mnt', 'pid', 'net', 'ipc', 'uts', 'user', 'cgroup'];
  const running = processes();
  // Those of others come and go meanwhile.
  const found = spawnSync('find', ['/sys/fs/cgroup', '-type', 'd', '-name', 'tsbuild-*'], {
    encoding: 'utf8',
  });
  return new Set([
    ...readFileSync('/proc/self/mountinfo', 'utf8').split('\n'),
    ...running.flatMap(({ pid }) => kinds.map((kind) => linkOf(`/proc/${pid}/ns/${kind}`))),
    ...found.stdout.split('\n'),
    ...running
      .filter(({ line }) => /slirp4netns|pasta|passt|runc|newuidmap|tsbuild-agent/.test(line))
      .map(({ pid }) => pid),
  ]);
}

function processes(): { readonly pid: string; readonly line: string }[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        return [{ pid, line: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
      } catch {
        return [];
      }
    });
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
