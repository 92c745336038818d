import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import { tries, withSeed } from '../support/effort.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import {
  buildAlone,
  buildArgs,
  expectSound,
  kill,
  mountsBelow,
  runsOf,
  sharedSteps,
  startBuild,
  writeContexts,
} from './builds.ts';

const builds = 8;
const kills = tries({ full: 200, short: 40 });

suite('8 builds at once that share steps', ['root', 'linux', tool('busybox', 'busybox-static')], () => {
  let work: TempFolder;
  beforeAll(async () => {
    work = await tempFolder('chaos');
  });
  afterAll(() => work[Symbol.asyncDispose]());

  test(
    `killed ${kills} times: then each image is the one that is built alone, and nothing is left`,
    { timeout: 1_200_000 },
    () =>
      withSeed(async (_, next) => {
        const contexts = writeContexts(work.path, builds);
        const store = join(work.path, 'store');
        const images = await buildAlone(join(work.path, 'alone'), contexts);
        await makeBase(store, 'localhost/busybox', busyboxRootfs());
        let killed = 0;
        for (let round = 0; killed < kills; round += 1) {
          const start = (context: string) =>
            startBuild(buildArgs(store, context, ['--build-arg', `ROUND=${round}`]));
          const running = contexts.map((context) => ({ context, build: start(context) }));
          await sleep(1500);
          for (let count = 0; count < 10; count += 1) {
            await sleep(next() * 300);
            const chosen = running[Math.floor(next() * builds)];
            if (chosen === undefined) continue;
            if (await kill(chosen.build)) killed += 1;
            chosen.build = start(chosen.context);
          }
          const ended = running.map(async ({ build }) => {
            await sleep(next() * 300);
            if (await kill(build)) killed += 1;
          });
          await Promise.all(ended);
        }
        const before = runsOf(store).length;
        await expectSound(store, contexts, images);
        const last = runsOf(store).slice(before);
        for (let number = 0; number < sharedSteps; number += 1)
          expect(last.filter(({ step }) => step === `shared-${number}`)).toHaveLength(1);
        expect(mountsBelow(work.path)).toEqual([]);
      }),
  );
});
