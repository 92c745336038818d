import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { command, must, tsbuild } from '../support/cli.ts';
import { startRegistry } from '../support/registry-server.ts';
import type { Bench } from './bench.ts';

// Caches of the other builder: BuildKit reads the manifest and config of ours, finds no step of its own in it and goes on; of BuildKit's we
// tell whose it is, and go on. Records can be shared by neither: BuildKit finds them by digests of its own graph (LLB), which tsbuild does not make.

export interface CacheVerdict {
  readonly name: string;
  readonly against: string;
  /** What is not as it should be. */
  readonly lines: readonly string[];
  readonly accepted: readonly [];
}

const dockerfile = `FROM scratch AS one
COPY a.txt /one
FROM scratch
COPY --from=one /one /two
COPY a.txt /three
`;

export async function judgeCaches(bench: Bench): Promise<readonly CacheVerdict[]> {
  const { docker } = bench.peers;
  if (docker === undefined) return [];
  await using server = await startRegistry();
  const context = join(bench.contexts, 'cache');
  mkdirSync(context, { recursive: true });
  writeFileSync(join(context, 'Dockerfile'), dockerfile);
  writeFileSync(join(context, 'a.txt'), 'one line\n');
  const against = docker.name;
  const ours = `${server.host}/ours:cache`;
  const build = async (store: string, ...more: string[]): Promise<string> => {
    const args = ['--root', join(bench.folder, store), '--progress', 'plain', ...more, context];
    const result = await tsbuild(args);
    await must(Promise.resolve(result));
    return result.stderr;
  };
  const verdicts: CacheVerdict[] = [];
  const expectLines = (
    name: string,
    said: string,
    wanted: readonly RegExp[],
    unwanted: readonly RegExp[] = [],
  ): void => {
    const lines = [
      ...wanted.filter((pattern) => !pattern.test(said)).map((pattern) => `not said: ${pattern.source}`),
      ...unwanted.filter((pattern) => pattern.test(said)).map((pattern) => `said: ${pattern.source}`),
    ];
    verdicts.push({
      name,
      against,
      lines: lines.length === 0 ? [] : [...lines, ...said.split('\n')],
      accepted: [],
    });
  };

  for (const [form, settings] of [
    ['manifest', ''],
    ['index', ',image-manifest=false'],
  ] as const) {
    await build('cache-warm', '--cache-to', `type=registry,ref=${ours}-${form},mode=max${settings}`);
    const said = await docker.build(context, `cache-${form}`, [
      '--no-cache-filter',
      'none',
      '--cache-from',
      `type=registry,ref=${ours}-${form}`,
    ]);
    expectLines(
      `cache-read-by-buildkit-${form}`,
      said,
      [/importing cache manifest from/, /COPY a\.txt \/three/],
      [/ERROR/, /failed/],
    );
  }

  // Docker's own driver writes caches of type inline alone.
  const theirs = `${server.host}/theirs:1`;
  await docker.build(context, 'cache-theirs', ['--cache-to', 'type=inline']);
  const archive = join(bench.folder, 'theirs.tar');
  await docker.save('cache-theirs', archive);
  await must(
    command('skopeo', [
      '--insecure-policy',
      'copy',
      '--dest-tls-verify=false',
      `docker-archive:${archive}`,
      `docker://${theirs}`,
    ]),
  );
  const said = await build('cache-cold', '--cache-from', theirs);
  expectLines('cache-of-buildkit', said, [/inline cache of BuildKit/, /COPY a\.txt \/three/]);
  return verdicts;
}
