import { copyFileSync, cpSync, existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { debianRootfs } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { dockerContainer } from '../support/docker-container.ts';
import type { GitServer } from '../support/git-server.ts';
import { startGitServer } from '../support/git-server.ts';
import { expectGolden } from '../support/golden.ts';
import { examples } from '../support/paths.ts';
import { findTool, suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { TestUser } from '../support/users.ts';
import { makeUser } from '../support/users.ts';

// What people do in RUN steps, on each rung of the ladder and on each runtime: golden/rungs.md.

const needs = [
  'root',
  'npm-registry',
  tool('mmdebstrap'),
  tool('runc'),
  tool('newuidmap', 'uidmap'),
  tool('git'),
  tool('npm'),
] as const;

type Run = (args: readonly string[]) => Promise<CommandResult>;
interface Column {
  readonly name: string;
  readonly runtime: string;
  readonly user: 'root' | 'many' | 'one' | 'container';
}
const columns: readonly Column[] = [
  { name: 'root, runc', runtime: 'runc', user: 'root' },
  { name: 'root, embedded', runtime: 'embedded', user: 'root' },
  { name: 'subordinate ids, runc', runtime: 'runc', user: 'many' },
  { name: 'subordinate ids, embedded', runtime: 'embedded', user: 'many' },
  { name: 'single id, embedded', runtime: 'embedded', user: 'one' },
  { name: 'chroot in a container', runtime: 'chroot', user: 'container' },
];

/** What other builds stand on is not compressed: half of the time would go into that. */
const unpacked = ['-o', 'type=image,compression=uncompressed'] as const;

const packages = 'iputils-ping libcap2-bin tcc libc6-dev git ca-certificates openssh-client';

/** A row's name, and a script that fails where the row does; those without one have steps, or a build, of their own. */
const rows = (git: GitServer): Readonly<Record<string, string | undefined>> => ({
  'apt-get install': `apt-get update -qq && apt-get install -qq -y --no-install-recommends ${packages} >/dev/null`,
  'npm ci': undefined,
  useradd: 'useradd -m joe && chown -R joe: /home/joe && su joe -c "touch /home/joe/x"',
  su: `useradd ann && test "$(su ann -c 'id -un')" = ann`,
  USER: undefined,
  setcap:
    'cp /bin/true /x && setcap cap_net_bind_service+ep /x && getcap /x | grep -q net_bind_service=ep && /x',
  'raw sockets (ping)': undefined,
  'git clone': `git clone -q ${git.url}/project.git /src && test -s /src/file`,
  compiler:
    'echo "int puts(char*); int main(){puts(\\"made\\");return 0;}" >/a.c && tcc -o /a /a.c && test "$(/a)" = made',
});

/** A step of its own for each row, which says what came of it. */
function dockerfile(git: GitServer): string {
  const step = (row: string, script: string): string =>
    `RUN if ( ${script} ); then echo "ROW ${row}: passes"; else echo "ROW ${row}: fails"; fi`;
  const [install, ...others] = Object.entries(rows(git)).flatMap(([row, script]) =>
    script === undefined ? [] : [step(row, script)],
  );
  return [
    ...['FROM debian AS tools', install],
    ...['FROM tools AS rows', ...others],
    ...['RUN useradd eve', 'USER eve', step('USER', 'test "$(id -un)" = eve')],
    ...['FROM tools AS ping', 'RUN --network=none ping -q -c1 127.0.0.1'],
    '',
  ].join('\n');
}

/** Why a cell cannot pass: what the kernel gives no user without subordinate ids. */
const reasons: Readonly<Record<string, string>> = {
  'su, single id, embedded': 'setuid(2) knows no other id; the command runs as root',
  'raw sockets (ping), chroot in a container':
    'without namespaces a step cannot have no network; with that of its container ping works',
  'USER, single id, embedded': 'setuid(2) knows no other id; the step runs as root, its files belong to USER',
};

suite('the matrix of rungs and runtimes', needs, () => {
  let work: TempFolder;
  let git: GitServer;
  let users: Readonly<Record<'many' | 'one', TestUser>>;

  beforeAll(async () => {
    work = await tempFolder('rungs');
    const base = join(work.path, 'base');
    cpSync(join(examples, 'base'), base, { recursive: true, filter: (path) => !path.endsWith('.tar') });
    copyFileSync(debianRootfs(), join(base, 'rootfs.tar'));
    cpSync(join(examples, 'node-app'), join(work.path, 'node-app'), { recursive: true });
    git = await startGitServer(join(work.path, 'git'));
    git.commit('project', (tree) => writeFileSync(join(tree, 'file'), 'text\n'));
    mkdirSync(join(work.path, 'rows'));
    writeFileSync(join(work.path, 'rows/Dockerfile'), dockerfile(git));
    await must(command('chmod', ['-R', 'u=rwX,go=rX', work.path]));
    users = { many: await makeUser('subordinate'), one: await makeUser('none') };
  });
  afterAll(async () => {
    for (const made of [work, git, users.many, users.one]) await made[Symbol.asyncDispose]();
  });

  const cells = new Map<string, string>();

  test.for(columns)('$name', { timeout: 600_000 }, async ({ name, runtime, user }) => {
    const home = user === 'many' || user === 'one' ? users[user].home : work.path;
    const as = {
      ...{ root: tsbuild, container: dockerContainer(work.path).tsbuild },
      ...{ many: users.many.tsbuild, one: users.one.tsbuild },
    }[user];
    const run: Run = (args) => as(['--root', join(home, `store-${user}`), ...args]);
    const place = runtime === 'chroot' ? ['--isolation', runtime] : ['--runtime', runtime];
    const how = [...place, '--network', 'host', '--progress', 'plain'];
    await must(run([...unpacked, '-t', 'debian', '-t', 'ubuntu', join(work.path, 'base')]));
    const inStage = (stage: string, ...more: readonly string[]): Promise<CommandResult> =>
      run([...how, '-o', 'type=cacheonly', '--target', stage, ...more, join(work.path, 'rows')]);
    const most = await inStage('rows', '--no-cache');
    const own: Readonly<Record<string, CommandResult>> = {
      'npm ci': await npmCi(run, [...how, '--no-cache'], home),
      'raw sockets (ping)': await inStage('ping', '--no-cache-filter', 'ping'),
    };
    for (const row of Object.keys(rows(git))) {
      const result = own[row] ?? most;
      const passes = row in own ? result.code === 0 : result.stderr.includes(` ROW ${row}: passes\n`);
      const fails = row in own ? result.code === 1 : result.stderr.includes(` ROW ${row}: fails\n`);
      const reason = reasons[`${row}, ${name}`];
      const cell = passes ? 'passes' : (reason ?? 'FAILS');
      if (cell === 'FAILS') expect.soft(result.stderr, `${row}, ${name}`).toBe('');
      // A reason must not outlive what it is for.
      if (reason !== undefined) expect.soft(fails, `${row}, ${name}`).toBe(true);
      cells.set(`${row}, ${name}`, cell);
    }
  });

  /** The registry and its credentials come from the machine's own npm. */
  async function npmCi(run: Run, how: readonly string[], home: string): Promise<CommandResult> {
    const npm = dirname(dirname(realpathSync(findTool('npm') ?? '')));
    const contexts = [`node-dist=${dirname(process.execPath)}`, `npm-dist=${npm}`];
    const named = contexts.flatMap((text) => ['--build-context', text]);
    const file = ['-f', join(work.path, 'base/node.Dockerfile')];
    const called = ['-t', 'node-base', join(work.path, 'base')];
    const based = await run([...how, ...unpacked, ...file, ...named, ...called]);
    if (based.code !== 0) return based;
    const ca = ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']
      .map((name) => process.env[name] ?? '')
      .find(existsSync);
    const secrets: string[] = [];
    for (const [id, source] of [
      ['npmrc', join(homedir(), '.npmrc')],
      ['ca', ca ?? ''],
    ] as const) {
      if (!existsSync(source)) continue;
      // A copy that the user may read.
      const copy = join(home, `secret-${id}`);
      copyFileSync(source, copy);
      await must(command('chmod', ['644', copy]));
      secrets.push('--secret', `id=${id},src=${copy}`);
    }
    return run([
      ...how,
      ...secrets,
      '-o',
      'type=cacheonly',
      '--target',
      'build',
      join(work.path, 'node-app'),
    ]);
  }

  test('is what golden/rungs.md says', () => {
    const lines = [
      '| | ' + columns.map(({ name }) => name).join(' | ') + ' |',
      `|---|${columns.map(() => '---|').join('')}`,
      ...Object.keys(rows(git)).map(
        (row) => `| ${row} | ${columns.map(({ name }) => cells.get(`${row}, ${name}`) ?? '?').join(' | ')} |`,
      ),
    ];
    expectGolden('rungs.md', `${lines.join('\n')}\n`);
  });
});
