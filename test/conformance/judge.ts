import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, tsbuild } from '../support/cli.ts';
import { projectRoot } from '../support/paths.ts';
import { readLayout } from '../support/tree.ts';
import type { Bench } from './bench.ts';
import type { Case } from './case.ts';
import { prepareCase } from './case.ts';
import type { FlatImage } from './describe.ts';
import { describeImage } from './describe.ts';
import type { Comparison } from './differences.ts';
import { compareImages } from './differences.ts';
import type { Peer } from './docker.ts';

// The versions whose results are stored, and which the rows of differences are about.
const newest = { docker: 28, buildah: 43 } as const;
const goldens = join(projectRoot, 'golden/conformance');

export interface Verdict extends Comparison {
  /** Whose result it was compared with. */
  readonly against: string;
}

/** A case with its context made, and its arguments as they are here. */
interface Ready {
  readonly item: Case;
  readonly context: string;
  readonly args: readonly string[];
  readonly before: readonly (readonly string[])[];
}

/** Builds a case and compares it. Rejects when a builder fails, with all that it said. */
export async function judge(item: Case, bench: Bench): Promise<Verdict> {
  const context = await prepareCase(item.name, bench.contexts);
  const fill = (words: readonly string[]): string[] =>
    words.map((word) => word.replaceAll('$CONTEXT', context).replaceAll('$URL', `${bench.url}/${item.name}`));
  const ready: Ready = { item, context, args: fill(item.args), before: item.before.map(fill) };
  const peer = item.peer === 'golden' ? undefined : bench.peers[item.peer];
  const able = peer !== undefined && peer.version >= item.since ? peer : undefined;
  const older = able !== undefined && able.version < newest[able.kind];
  const [ours, theirs] = await Promise.all([
    buildOurs(ready, bench),
    able === undefined ? undefined : buildTheirs(ready, able),
  ]);
  rmSync(context, { recursive: true });
  const describe = (image: FlatImage): string[] =>
    describeImage(image, bench.bases, bench.busybox).map((line) => line.replaceAll(bench.url, '$SERVER'));
  const file = join(goldens, `${item.name}.txt`);
  if (theirs !== undefined && bench.update && !older) {
    mkdirSync(goldens, { recursive: true });
    writeFileSync(file, `${describe(theirs).join('\n')}\n`);
  }
  if (theirs === undefined && !existsSync(file)) {
    throw new Error(`no ${item.peer} here that has all it uses, and no golden/conformance/${item.name}.txt`);
  }
  const wanted = theirs === undefined ? readFileSync(file, 'utf8').trimEnd().split('\n') : describe(theirs);
  const stored = item.peer === 'golden' ? 'golden' : `stored result of ${item.peer}`;
  return {
    against: able?.name ?? stored,
    ...compareImages(item, { ours: describe(ours), theirs: wanted, older }),
  };
}

async function buildOurs({ item, context, args, before }: Ready, bench: Bench): Promise<FlatImage> {
  const flags = ['--root', bench.store, '--progress', 'plain'];
  for (const earlier of before) await must(tsbuild([...flags, ...earlier, context]));
  const layout = join(bench.folder, `${item.name}-layout`);
  await must(tsbuild([...flags, '-o', `type=oci,tar=false,dest=${layout}`, ...args, context]));
  const image = await readLayout(layout);
  rmSync(layout, { recursive: true });
  return image;
}

async function buildTheirs({ item, context, args, before }: Ready, peer: Peer): Promise<FlatImage> {
  const tag = `localhost/case-${item.name}`;
  for (const earlier of before) await peer.build(context, `${tag}-before`, earlier);
  await peer.build(context, tag, args);
  return peer.read(tag);
}
