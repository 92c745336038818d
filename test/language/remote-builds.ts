import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BuildOptions, ProgressEvent } from '../../src/index.ts';
import { build } from '../../src/index.ts';
import type { TreeNode } from '../support/tree.ts';
import { flatten, readLayout } from '../support/tree.ts';

/** Builds of one test file: a store and contexts below one folder. */
export interface Builds {
  /** The files of the image, by path, and all that was told while it was built. */
  run(dockerfile: string, options?: BuildOptions): Promise<Built>;
  /** Makes a context of these files. Returns its directory. */
  context(files: Readonly<Record<string, string>>): string;
}

export interface Built {
  readonly files: readonly TreeNode[];
  /** `type mode uid:gid path` of each, and `-> target` of links. */
  readonly lines: readonly string[];
  /** Of files: the start of their sha256, by path; `sha` makes one. */
  readonly contents: Readonly<Record<string, string>>;
  /** Seconds, by path. */
  readonly times: Readonly<Record<string, string>>;
  readonly events: readonly ProgressEvent[];
  readonly history: readonly string[];
}

export function buildsBelow(folder: string): Builds {
  let count = 0;
  const fresh = (name: string): string => join(folder, `${name}-${(count += 1)}`);
  const context = (files: Readonly<Record<string, string>>): string => {
    const directory = fresh('context');
    mkdirSync(directory, { recursive: true });
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true });
      writeFileSync(join(directory, name), content);
    }
    return directory;
  };
  return {
    context,
    run: async (dockerfile, options = {}) => {
      const layout = fresh('layout');
      const events: ProgressEvent[] = [];
      await build({
        root: join(folder, 'store'),
        env: {},
        context: context({}),
        ...(dockerfile === '' ? {} : { dockerfile: { text: dockerfile } }),
        outputs: [{ type: 'oci', dest: layout, tar: false }],
        onEvent: (event) => events.push(event),
        ...options,
      });
      const image = await readLayout(layout);
      const files = flatten(image.layers);
      const plain = files.filter(({ type }) => type === 'file');
      return {
        files,
        lines: files.map(
          ({ type, mode, uid, gid, path, linkTarget }) =>
            `${type} ${mode.replace(/^0/, '')} ${uid}:${gid} ${path}${type === 'symlink' ? ` -> ${linkTarget}` : ''}`,
        ),
        contents: Object.fromEntries(plain.map(({ path, sha256 }) => [path, sha256])),
        times: Object.fromEntries(files.map(({ path, mtime }) => [path, mtime])),
        events,
        history: (image.config.history ?? []).map((entry) => String(entry['created_by'])),
      };
    },
  };
}

/** What `contents` has for a file of this text. */
export function sha(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
