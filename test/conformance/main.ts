/**
 * Builds each case of cases/ with tsbuild and with a peer, and compares the images: `npm run conformance [-- NAME…]`.
 *
 * The peers come from a root of the newest Debian release that this machine's mirror has (peer-root.ts). Found when this
 * was written: forky has Docker 28.5.2, whose BuildKit has all of the language but COPY --parents and RUN --security, and
 * buildah 1.43.2, which has --parents; trixie has Docker 26.1.5 (no --exclude, no symbolic --chmod) and buildah 1.39.3.
 * Where no such root can be made, one of the host's own release is taken for the cases that its Docker and buildah can do.
 * Every other case is compared with the stored result of the newest peer in golden/conformance, which `--update` writes.
 * Then it compares what a RUN step sees, line by line (view.ts; `npm run conformance -- view` does that alone).
 * Last each reads caches that the other wrote (cache.ts; `npm run conformance -- cache`).
 * `--release trixie` takes the peers of that release, `--release none` the stored results alone. `--live 20` lets the peers build 20 cases
 * that are chosen anew each time, and compares the others with the stored results: what .ci/run does, since the peers take the longest.
 */
import { parseArgs } from 'node:util';
import { setup } from '../support/global-setup.ts';
import { missing, tool } from '../support/require.ts';
import { openBench } from './bench.ts';
import { judgeCaches } from './cache.ts';
import { readCases } from './case.ts';
import { judge } from './judge.ts';
import { judgeViews } from './view.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Of a case or a view. */
interface Result {
  readonly name: string;
  readonly against: string;
  readonly lines: readonly string[];
  readonly accepted: readonly { readonly case?: string; readonly reason: string }[];
}

/** Returns the exit status. */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...{ update: { type: 'boolean', default: false }, release: { type: 'string' } },
      live: { type: 'string' },
    },
  });
  const all = readCases();
  const cases = all.filter(
    ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
  );
  const withViews = positionals.length === 0 || positionals.some((word) => word.startsWith('view'));
  const waiting = [...cases];
  const live = values.live === undefined ? cases : sample(cases, Number(values.live));
  let stopped: number | undefined;
  const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  for (const [signal, number] of Object.entries(signals)) {
    // The cases under way are ended first: what a builder was doing is then over when its folders go.
    process.once(signal, () => {
      stopped ??= 128 + number;
      waiting.length = 0;
    });
  }
  setup();
  const needs = [
    'root',
    tool('runc'),
    tool('bzip2'),
    tool('nsenter', 'util-linux'),
    tool('busybox', 'busybox-static'),
    tool('setcap', 'libcap2-bin'),
    tool('xz', 'xz-utils'),
  ] as const;
  const lacking = needs.map(missing).filter((item) => item !== undefined);
  if (lacking.length > 0) throw new Error(`this host lacks ${lacking.join(', ')}`);

  await using stack = new AsyncDisposableStack();
  const bench = await openBench(stack, cases, { say, ...values });
  const results: Result[] = [];
  const tell = (result: Result, seconds?: number): void => {
    const good = result.lines.length === 0;
    const time = seconds === undefined ? '' : `, ${seconds.toFixed(1)}s`;
    say(`${good ? 'ok  ' : 'FAIL'} ${result.name} (${result.against}${time})`);
    for (const line of result.lines) say(`       ${line}`);
    results.push(result);
  };
  const judgeWaiting = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
      const { name, peer: against } = item;
      const start = performance.now();
      const peers = live.includes(item) ? bench.peers : { docker: undefined, buildah: undefined };
      const verdict = await judge(item, { ...bench, peers }).catch((error: unknown) => ({
        against,
        ...failure(error),
      }));
      tell({ name, ...verdict }, (performance.now() - start) / 1000);
    }
  };
  // A case waits much: for its builders one after the other, and for what they start.
  await Promise.all([judgeWaiting(), judgeWaiting(), judgeWaiting()]);
  if (stopped !== undefined) return stopped;
  if (withViews) {
    const verdicts = await judgeViews(bench).catch((error: unknown) => [
      { name: 'view', against: 'docker', ...failure(error) },
    ]);
    for (const verdict of verdicts) tell(verdict);
  }
  if (positionals.length === 0 || positionals.includes('cache')) {
    const verdicts = await judgeCaches(bench).catch((error: unknown) => [
      { name: 'cache', against: 'docker', ...failure(error) },
    ]);
    for (const verdict of verdicts) tell(verdict);
  }
  const failed = results.filter(({ lines }) => lines.length > 0).length;
  const accepted = new Map<Result['accepted'][number], number>();
  for (const row of results.flatMap((result) => result.accepted))
    accepted.set(row, (accepted.get(row) ?? 0) + 1);
  if (accepted.size > 0) say('\nAccepted differences:');
  for (const [row, count] of accepted)
    say(`  ${row.case ?? 'view'}${count > 1 ? `, here ${count}` : ''}: ${row.reason}`);
  say(`\n${results.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** So many of them, others each time. */
function sample<T>(items: readonly T[], count: number): readonly T[] {
  const left = [...items];
  return Array.from({ length: Math.min(count, left.length) }, () =>
    left.splice(Math.floor(Math.random() * left.length), 1),
  ).flat();
}

/** What a builder said before it failed. */
function failure(error: unknown): { readonly lines: readonly string[]; readonly accepted: readonly [] } {
  return { lines: (error instanceof Error ? error.message : String(error)).split('\n'), accepted: [] };
}

process.exitCode = await main();
