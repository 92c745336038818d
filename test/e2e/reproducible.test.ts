import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { command, must } from '../support/cli.ts';
import { binary, examples } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

interface Surroundings {
  readonly umask: string;
  readonly env: Readonly<Record<string, string>>;
  /** What every file of the context is touched with. */
  readonly touch: string;
}

const here: Surroundings = {
  umask: '022',
  env: { TZ: 'UTC', LC_ALL: 'C' },
  touch: '2020-01-01 12:00:00 UTC',
};
const elsewhere: Surroundings = {
  umask: '077',
  env: { TZ: 'Pacific/Auckland', LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' },
  touch: '2024-06-01 03:04:05.678 UTC',
};

/** Copies `source` to a fresh folder, builds it there with a fresh store, and returns the digest. */
async function digestOf(
  source: string,
  surroundings: Surroundings,
  prepare: (store: string) => Promise<void> = () => Promise.resolve(),
): Promise<string> {
  await using work = await tempFolder(`reproducible-${surroundings.umask}`);
  const context = join(work.path, 'context');
  cpSync(source, context, { recursive: true });
  await must(command('chmod', ['-R', 'u=rwX,go=rX', context]));
  await must(command('find', [context, '-exec', 'touch', '-h', '-d', surroundings.touch, '{}', '+']));
  const store = join(work.path, 'store');
  await prepare(store);
  const script = `umask ${surroundings.umask}; exec "$@"`;
  const build = [process.execPath, binary, '--root', store, '-q', context];
  const env = { ...surroundings.env, SOURCE_DATE_EPOCH: '0' };
  const digest = (await must(command('sh', ['-c', script, 'sh', ...build], { env }))).trim();
  expect(digest).toMatch(/^sha256:[a-f0-9]{64}$/);
  return digest;
}

test('examples/static has the same digest in two folders, umasks, time zones and locales', async () => {
  const source = join(examples, 'static');
  expect(await digestOf(source, elsewhere)).toBe(await digestOf(source, here));
});

suite('a deterministic RUN', ['root', tool('busybox', 'busybox-static')], () => {
  test('has the same digest in two folders, umasks, time zones and locales', async () => {
    await using work = await tempFolder('reproducible-run');
    writeFileSync(join(work.path, 'input'), 'b\na\n');
    writeFileSync(
      join(work.path, 'Dockerfile'),
      [
        'FROM localhost/busybox AS build',
        'WORKDIR /src',
        'COPY input .',
        'RUN sort input >sorted && mkdir -p out/nested && ln sorted out/hard && ln -s ../sorted out/soft && umask >out/umask',
        'FROM localhost/busybox',
        'COPY --from=build /src/out /out',
        'RUN echo "${TZ:-none} ${LC_ALL:-none}" >/env && date >/dev/null && ls /out >/list',
        '',
      ].join('\n'),
    );
    const base = async (store: string): Promise<void> =>
      makeBase(store, 'localhost/busybox', busyboxRootfs());
    expect(await digestOf(work.path, elsewhere, base)).toBe(await digestOf(work.path, here, base));
  });
});
