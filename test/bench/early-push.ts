import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { busyboxRootfs } from '../support/base-images.ts';
import { must, tsbuild } from '../support/cli.ts';
import { startRegistry } from '../support/registry-server.ts';
import { tempFolder } from '../support/temp.ts';

const MiB = 1024 * 1024;

/** Milliseconds; medians of runs that are taken in turns. */
export interface PushTimes {
  /** `build --push`: the layers below the last step are sent while it runs. */
  readonly together: number;
  /** `build`, then `push`. */
  readonly apart: number;
}

/** An early layer of 96 MiB, half of it noise, and then a step that waits for three seconds. Needs root, a runtime and docker-registry. */
export async function benchEarlyPush(rounds: number): Promise<PushTimes> {
  await using registry = await startRegistry();
  await using work = await tempFolder('bench-early');
  const [context, store] = [join(work.path, 'context'), join(work.path, 'store')];
  mkdirSync(context);
  copyFileSync(busyboxRootfs(), join(context, 'rootfs.tar'));
  writeFileSync(
    join(context, 'large'),
    Buffer.concat([randomBytes(48 * MiB), Buffer.alloc(48 * MiB, 'text ')]),
  );
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM scratch\nADD rootfs.tar /\nCOPY large /large\nRUN sleep 3 && echo done >/done\n',
  );
  const options = ['--root', store, '-q'];
  const times = { together: [] as number[], apart: [] as number[] };
  for (let round = 0; round <= rounds; round += 1) {
    for (const how of ['together', 'apart'] as const) {
      rmSync(store, { recursive: true, force: true });
      const name = `${registry.host}/bench/${how}-${round}:1`;
      const start = performance.now();
      await must(tsbuild([...options, '-t', name, ...(how === 'together' ? ['--push'] : []), context]));
      if (how === 'apart') await must(tsbuild(['push', ...options, name]));
      // The first round warms caches.
      if (round > 0) times[how].push(performance.now() - start);
    }
  }
  return { together: median(times.together), apart: median(times.apart) };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
