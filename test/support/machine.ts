import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BuildOptions, BuildResult, ProgressEvent } from '../../src/index.ts';
import { build } from '../../src/index.ts';
import { tempFolder } from './temp.ts';

export interface MachineBuild extends BuildResult {
  /** `name: state` of each step that is a vertex, as it ended; ` from …` where another machine had it. */
  readonly ends: readonly string[];
  /** Names of steps that ran something. */
  readonly ran: readonly string[];
  /** Why steps were run. */
  readonly reasons: readonly string[];
  readonly warnings: readonly string[];
  /** Internal steps that ended, failed ones with ` failed`. */
  readonly internal: readonly string[];
}

/** A machine of its own: an empty store. Its builds have no configuration but what they are given. */
export interface Machine extends AsyncDisposable {
  readonly path: string;
  build(files: Readonly<Record<string, string>>, options?: BuildOptions): Promise<MachineBuild>;
}

export async function newMachine(name = 'machine'): Promise<Machine> {
  const folder = await tempFolder(name);
  let count = 0;
  return {
    path: folder.path,
    build: async (files, options = {}) => {
      const context = join(folder.path, `context-${(count += 1)}`);
      for (const [path, text] of Object.entries(files)) {
        await mkdir(dirname(join(context, path)), { recursive: true });
        await writeFile(join(context, path), text);
      }
      const events: ProgressEvent[] = [];
      const result = await build({
        root: join(folder.path, 'store'),
        env: { HOME: folder.path, PATH: process.env['PATH'] },
        ...options,
        context,
        onEvent: (event) => events.push(event),
      });
      const steps = events.filter((event) => event.type === 'vertex');
      const ended = steps.filter(({ state }) => state !== 'waiting' && state !== 'running');
      return {
        ...result,
        ends: ended
          .filter(({ id }) => id.startsWith('sha256:'))
          .map(
            ({ name: step, state, from }) => `${step}: ${state}${from === undefined ? '' : ` from ${from}`}`,
          ),
        ran: steps
          .filter(
            ({ id, state, name: step }) =>
              id.startsWith('sha256:') && state === 'running' && / RUN /.test(step),
          )
          .map(({ name: step }) => step),
        internal: ended
          .filter(({ id }) => id.startsWith('internal:'))
          .map(({ name: step, state }) => (state === 'failed' ? `${step} failed` : step)),
        reasons: steps.flatMap(({ reason }) => reason ?? []),
        warnings: events.flatMap((event) =>
          event.type === 'diagnostic' && event.diagnostic.rule === 'RemoteCache'
            ? [event.diagnostic.message]
            : [],
        ),
      };
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
