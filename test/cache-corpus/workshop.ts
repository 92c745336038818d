import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ProgressEvent } from '../../src/index.ts';
import { BuildError, build } from '../../src/index.ts';
import type { GitServer } from '../support/git-server.ts';
import { startGitServer } from '../support/git-server.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import type { TarEntry } from '../support/tar.ts';
import { readTar } from '../support/tar.ts';
import type { Case, Scene, SceneFiles } from './scene.ts';
import { writeFiles } from './scene.ts';

/** A step that was run, and what is said about why. */
export interface RanStep {
  readonly name: string;
  readonly reason: string | undefined;
}

export interface Outcome {
  /** In the order in which they were planned. */
  readonly ran: readonly RanStep[];
  readonly cached: number;
  /** What the target's filesystem has; undefined when it was not asked for. */
  readonly tree: readonly TarEntry[] | undefined;
}

/** Where scenes are built: one context directory that is brought from scene to scene, servers, and any number of stores. */
export class Workshop implements AsyncDisposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'tsbuild-corpus-'));
  #now: Scene | undefined;
  #http: HttpServer | undefined;
  #git: GitServer | undefined;
  #stores = 0;
  /** What is in the images of each store. */
  readonly #made = new Map<string, string>();

  /** The build's directory; a scene's bases are made in each store that lacks them. */
  get context(): string {
    return join(this.folder, 'context');
  }

  newStore(like?: string): string {
    const store = join(this.folder, `store-${(this.#stores += 1)}`);
    // With owners, links and attributes, as layers need them.
    if (like !== undefined) execFileSync('cp', ['-a', like, store]);
    return store;
  }

  /** Builds a scene. Rejects with the build's error. */
  async build(
    scene: Scene,
    root: string,
    more: { readonly noCache?: boolean; readonly tree?: boolean; readonly context?: string } = {},
  ): Promise<Outcome> {
    const context = more.context ?? this.context;
    await this.#bases(scene, root);
    const text = await this.#arrange(scene, context);
    const stream = new PassThrough();
    const tar = more.tree === true ? buffer(stream) : undefined;
    const steps = new Steps();
    await build({
      ...scene.options,
      root,
      context,
      dockerfile: { text },
      buildContexts: {
        ...scene.options.buildContexts,
        ...Object.fromEntries(Object.keys(scene.contexts).map((name) => [name, this.#named(name)])),
      },
      noCache: more.noCache ?? scene.options.noCache,
      outputs: [more.tree === true ? { type: 'tar', stream } : { type: 'cacheonly' }],
      onEvent: (event) => steps.see(event),
    });
    stream.end();
    return { ...steps.outcome((name) => this.#plain(name)), tree: tar && readTar(await tar) };
  }

  async #bases({ bases }: Scene, root: string): Promise<void> {
    for (const [name, files] of Object.entries(bases)) {
      const known = this.#made.get(`${root} ${name}`);
      if (known === JSON.stringify(files)) continue;
      const context = mkdtempSync(join(this.folder, 'base-'));
      writeFiles(context, files);
      const below = name.startsWith('localhost/os') ? 'localhost/busybox' : 'scratch';
      const dockerfile = { text: `FROM ${below}\nCOPY . /\n` };
      // The same files always make the same image.
      await build({ root, context, dockerfile, tags: [name], sourceDateEpoch: 1_000_000_000 });
      rmSync(context, { recursive: true });
      this.#made.set(`${root} ${name}`, JSON.stringify(files));
    }
  }

  /** Writes what is new of a scene; the Dockerfile as it is to be built. */
  async #arrange(scene: Scene, context: string): Promise<string> {
    const now = this.#now;
    this.#now = scene;
    writeFiles(context, scene.files, context === this.context ? now?.files : {});
    for (const [name, files] of Object.entries(scene.contexts))
      writeFiles(this.#named(name), files, now?.contexts[name]);
    if (Object.keys(scene.http).length > 0) await this.#serve();
    if (Object.keys(scene.git).length > 0) await this.#commit(scene.git, now?.git);
    return scene.dockerfile
      .replaceAll('{http}', `http://${this.#http?.host ?? ''}`)
      .replaceAll('{git}', this.#git?.url ?? '');
  }

  #named(name: string): string {
    return join(this.folder, `named-${name}`);
  }

  async #serve(): Promise<void> {
    this.#http ??= await startHttpServer((request, response) => {
      const text = this.#now?.http[request.url ?? ''];
      if (text === undefined) response.writeHead(404).end();
      else response.end(text);
    });
  }

  async #commit(files: SceneFiles, before: SceneFiles | undefined): Promise<void> {
    if (JSON.stringify(files) === JSON.stringify(before)) return;
    this.#git ??= await startGitServer(join(this.folder, 'git'));
    this.#git.commit('r', (worktree) => writeFiles(worktree, files, before ?? {}), { time: 1_000_000_000 });
  }

  #plain(name: string): string {
    // Digests of images depend on the zlib that packs them.
    const texts = name.replaceAll(/sha256:[a-f0-9]+/g, 'DIGEST');
    return texts.replaceAll(/(?:http:\/\/)?127\.0\.0\.1:\d+/g, 'SERVER').replaceAll(this.folder, 'FOLDER');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http?.[Symbol.asyncDispose]();
    await this.#git?.[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Follows the steps of the Dockerfile. */
class Steps {
  readonly #names = new Map<string, string>();
  readonly #ran = new Map<string, RanStep>();
  #cached = 0;

  see(event: ProgressEvent): void {
    if (event.type !== 'vertex' || /^\[(?:internal\]|context )/.test(event.name)) return;
    if (event.state === 'waiting') this.#names.set(event.id, event.name);
    if (event.state === 'running') this.#ran.set(event.id, { name: event.name, reason: event.reason });
    if (event.state === 'cached') this.#cached += 1;
  }

  outcome(plain: (name: string) => string): Omit<Outcome, 'tree'> {
    const ran = [...this.#names.keys()].flatMap((id) => this.#ran.get(id) ?? []);
    return {
      ran: ran.map(({ name, reason }) => ({ name: plain(name), reason: reason && plain(reason) })),
      cached: this.#cached,
    };
  }
}

/**
 * What a case says: its Dockerfile, and for each edit the steps that are run again. Each edit is made to the case as it is, with a store that
 * knows that alone. @param prepare puts images into the store.
 */
export async function describeCase(
  one: Case,
  prepare: (store: string) => Promise<void> = () => Promise.resolve(),
): Promise<string> {
  await using workshop = new Workshop();
  const known = workshop.newStore();
  await prepare(known);
  const first = await workshop.build(one.scene, known);
  const lines = [one.scene.dockerfile, `first build: ${first.ran.length} steps`];
  for (const edit of one.edits) {
    const store = workshop.newStore(known);
    lines.push('', `${edit.title}:`);
    try {
      const { ran } = await workshop.build(edit.change(one.scene), store);
      lines.push(
        ...(ran.length === 0
          ? ['  all cached']
          : ran.map(({ name, reason }) => `  ${name}\n    ${reason ?? ''}`.trimEnd())),
      );
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      lines.push(`  ${error.code}`);
    }
    rmSync(store, { recursive: true, force: true });
  }
  return `${lines.join('\n')}\n`;
}

/** What two trees must have in common: everything but the mtime. */
export function withoutTimes(tree: readonly TarEntry[] | undefined): string {
  const rows = (tree ?? []).map((entry) => ({
    ...entry,
    mtime: undefined,
    content: entry.content.toString('base64'),
  }));
  const sorted = rows.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return `[${sorted.map((row) => JSON.stringify(row)).join('\n')}]`;
}
