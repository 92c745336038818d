import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BuildOptions, MissReason } from '../../src/index.ts';
import { build } from '../../src/index.ts';
import { tempFolder } from './temp.ts';

/** A context and a store, to be built again and again. */
export interface MissProject extends AsyncDisposable {
  readonly context: string;
  readonly root: string;
  /** Writes a file of the context. */
  put(name: string, content: string): void;
  /** Builds; what was run and why, by instruction: `COPY a /` rather than `[2/3] COPY a /`. */
  misses(options?: Partial<BuildOptions>): Promise<Misses>;
}

export type Misses = Readonly<
  Record<string, { readonly miss: MissReason | undefined; readonly text: string | undefined }>
>;

export async function missProject(files: Readonly<Record<string, string>>): Promise<MissProject> {
  const folder = await tempFolder('misses');
  const path = realpathSync(folder.path);
  const [context, root] = [join(path, 'context'), join(path, 'store')];
  const put = (name: string, content: string): void => {
    const file = join(context, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  };
  for (const [name, content] of Object.entries(files)) put(name, content);
  return {
    context,
    root,
    put,
    misses: async (options = {}) => {
      const found: Record<string, Misses[string]> = {};
      await build({
        ...{ context, root, env: {}, outputs: [{ type: 'cacheonly' }] },
        ...options,
        onEvent: (event) => {
          if (event.type !== 'vertex' || event.state !== 'running' || !event.id.startsWith('sha256:')) return;
          const name = event.name.replace(/^\[[^\]]*\] /, '');
          if (name !== 'load build context' && name !== 'load')
            found[name] = { miss: event.miss, text: event.reason };
        },
      });
      return found;
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
