/**
 * Builds each case of cases/ with tsbuild and with a peer, and compares the images: `npm run conformance [-- NAME…]`.
 *
 * The peers come from a root of the newest Debian release that this machine's mirror has (peer-root.ts). Found when this
 * was written: forky has Docker 28.5.2, whose BuildKit has all of the language but COPY --parents and RUN --security, and
 * buildah 1.43.2, which has --parents; trixie has Docker 26.1.5 (no --exclude, no symbolic --chmod) and buildah 1.39.3.
 * Where no such root can be made, one of the host's own release is taken for the cases that its Docker and buildah can do.
 * Every other case is compared with the stored result of the newest peer in golden/conformance, which `--update` writes.
 * `--release trixie` takes the peers of that release, `--release none` the stored results alone.
 */
import { parseArgs } from 'node:util';
import { setup } from '../support/global-setup.ts';
import { missing, tool } from '../support/require.ts';
import { openBench } from './bench.ts';
import { readCases } from './case.ts';
import type { Comparison } from './differences.ts';
import type { Verdict } from './judge.ts';
import { judge } from './judge.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Returns the exit status. */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { update: { type: 'boolean', default: false }, release: { type: 'string' } },
  });
  const all = readCases();
  const cases = all.filter(
    ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
  );
  let stopped: number | undefined;
  const signals = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  for (const [signal, number] of Object.entries(signals)) {
    // The case under way is ended first: what a builder was doing is then over when its folders go.
    process.once(signal, () => (stopped ??= 128 + number));
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
  let failed = 0;
  const accepted = new Map<Comparison['accepted'][number], number>();
  for (const item of cases) {
    if (stopped !== undefined) return stopped;
    const start = performance.now();
    const verdict = await judge(item, bench).catch((error: unknown): Verdict => {
      const text = error instanceof Error ? error.message : String(error);
      return { against: item.peer, lines: text.split('\n'), accepted: [] };
    });
    const good = verdict.lines.length === 0;
    if (!good) failed += 1;
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    say(`${good ? 'ok  ' : 'FAIL'} ${item.name} (${verdict.against}, ${seconds}s)`);
    for (const line of verdict.lines) say(`       ${line}`);
    for (const row of verdict.accepted) accepted.set(row, (accepted.get(row) ?? 0) + 1);
  }
  if (accepted.size > 0) say('\nAccepted differences:');
  for (const [row, count] of accepted)
    say(`  ${row.case}${count > 1 ? `, here ${count}` : ''}: ${row.reason}`);
  say(`\n${cases.length - failed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
