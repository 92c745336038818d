import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BuildOptions, ProgressEvent } from '../../../src/index.ts';
import { build, BuildError } from '../../../src/index.ts';
import { busyboxRootfs } from '../../support/base-images.ts';
import type { TarEntry } from '../../support/tar.ts';
import { tempFolder } from '../../support/temp.ts';
import { readLayout } from '../../support/tree.ts';

/** What one build's steps said and did. */
export interface Built {
  /** Standard output of all steps, in the order in which it came. */
  readonly stdout: string;
  readonly stderr: string;
  /** `name:state` of the Dockerfile's steps, in order, without waiting. */
  readonly states: readonly string[];
  readonly rules: readonly string[];
}

/** A store with busybox as `base`, and a context, for builds whose steps run. */
export interface Steps extends AsyncDisposable {
  /** The folder that all is in. */
  readonly path: string;
  readonly context: string;
  /** Builds `FROM base` with these lines; a step whose text was built before is run anew. */
  build(text: string, options?: BuildOptions): Promise<Built>;
  /** What the steps of such a build say, in lines. */
  says(text: string, options?: BuildOptions): Promise<readonly string[]>;
  /** What such a build fails with. */
  error(text: string, options?: BuildOptions): Promise<BuildError>;
  /** The entries of the layers that such a build puts on the base. */
  layers(text: string, options?: BuildOptions): Promise<readonly (readonly TarEntry[])[]>;
}

/** `runtime`: that of the steps; undefined is what the host's best one is. */
export async function openSteps(name: string, runtime?: string): Promise<Steps> {
  const folder = await tempFolder(name);
  const context = join(folder.path, 'context');
  const root = join(folder.path, 'store');
  const rootfs = join(folder.path, 'base');
  for (const path of [context, rootfs]) mkdirSync(path);
  copyFileSync(busyboxRootfs(), join(rootfs, 'rootfs.tar'));
  const common = { root, env: { PATH: process.env['PATH'] ?? '' }, sourceDateEpoch: 1_000_000_000 };
  await build({
    ...{ ...common, context: rootfs, tags: ['base'] },
    dockerfile: { text: 'FROM scratch\nADD rootfs.tar /' },
  });
  const start = async (text: string, options: BuildOptions): Promise<Built> => {
    const output = { stdout: '', stderr: '' };
    const states: string[] = [];
    const rules: string[] = [];
    await build({
      ...{ ...common, context, runtime, noCache: true, network: 'none', outputs: [{ type: 'cacheonly' }] },
      dockerfile: { text: text.startsWith('FROM ') ? text : `FROM base\n${text}` },
      ...options,
      onEvent: (event: ProgressEvent) => {
        options.onEvent?.(event);
        if (event.type === 'log') output[event.stream] += Buffer.from(event.data).toString();
        if (event.type === 'diagnostic') rules.push(event.diagnostic.rule);
        if (event.type === 'vertex' && event.state !== 'waiting' && /\d\/\d\]/.test(event.name))
          states.push(`${event.name.replace(/^\[.*?\] /, '')}:${event.state}`);
      },
    });
    return { ...output, states, rules };
  };
  return {
    path: folder.path,
    context,
    build: (text, options = {}) => start(text, options),
    async says(text, options = {}) {
      const { stdout } = await start(text, options);
      return stdout === '' ? [] : stdout.replace(/\n$/, '').split('\n');
    },
    async error(text, options = {}) {
      const reason: unknown = await start(text, options).then(
        ({ stdout }) => new Error(`the build did not fail: ${stdout}`),
        (error: unknown) => error,
      );
      if (reason instanceof BuildError) return reason;
      throw reason;
    },
    async layers(text, options = {}) {
      await using out = await tempFolder(`${name}-out`);
      const dest = join(out.path, 'layout');
      await start(text, { ...options, outputs: [{ type: 'oci', tar: false, dest }] });
      return (await readLayout(dest)).layers.slice(1);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
