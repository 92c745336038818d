import type { OpenedContext } from '../source/load-context.ts';
import { checkLocalContext, openContext } from '../source/load-context.ts';
import { BuildError } from '../util/build-error.ts';
import { gitAuthorization, httpAuthorization, openSecrets } from './secrets.ts';
import type { Session } from './session.ts';
import type { BuildOptions } from './types.ts';

/** The main context and those of --build-context; each is opened once, when something first asks for it. */
export interface BuildContexts extends AsyncDisposable {
  readonly main: OpenedContext;
  open(name: string): Promise<OpenedContext>;
  /** As the frontend needs to know them. */
  readonly named: Readonly<Record<string, { kind: 'tree' } | { kind: 'image'; reference: string }>>;
}

export async function openContexts(
  options: BuildOptions,
  session: Session,
  tempDir: () => Promise<string>,
): Promise<BuildContexts> {
  const { signal, env, store } = session;
  const keepGitDir = /^(?:1|t|true)$/i.test(options.buildArgs?.BUILDKIT_CONTEXT_KEEP_GIT_DIR ?? '');
  const secrets = await openSecrets(options, env);
  const settings = {
    signal,
    env,
    tempDir,
    statCache: store.statCache,
    store: store.root,
    modes: options.contextModes,
    httpAuthorization: httpAuthorization(secrets),
    gitAuthorization: gitAuthorization(secrets),
  };
  const opened = new Map<string, Promise<OpenedContext>>();
  const named = namedContexts(options.buildContexts ?? {});
  await checkDirectories(options.buildContexts ?? {}, named);
  const main = await openContext(options.context ?? '.', {
    ...settings,
    keepGitDir,
    dockerfile: options.dockerfile,
  });
  opened.set('context', Promise.resolve(main));
  return {
    main,
    named,
    open: (name) => {
      const spec = options.buildContexts?.[name];
      const known = opened.get(name);
      if (known !== undefined) return known;
      if (spec === undefined) throw new TypeError(`no build context is called ${name}`);
      const fresh = openContext(spec, { ...settings, dockerfile: false });
      opened.set(name, fresh);
      return fresh;
    },
    [Symbol.asyncDispose]: async () => {
      for (const context of opened.values()) {
        await (await context.catch(() => undefined))?.[Symbol.asyncDispose]();
      }
    },
  };
}

/** As docker does, also for those that nothing uses: a path that is not there is a mistake of the command line. */
async function checkDirectories(
  specs: Readonly<Record<string, string>>,
  named: BuildContexts['named'],
): Promise<void> {
  for (const [name, spec] of Object.entries(specs)) {
    if (named[name]?.kind !== 'tree') continue;
    await checkLocalContext(spec).catch((error: unknown) => {
      if (!(error instanceof BuildError)) throw error;
      const { code, message, details, cause } = error;
      throw new BuildError(code, `--build-context ${name}: ${message}`, {
        hint: `give a directory or a URL; for an image write ${name}=docker-image://NAME`,
        details,
        cause,
      });
    });
  }
}

function namedContexts(specs: Readonly<Record<string, string>>): BuildContexts['named'] {
  const named: Record<string, { kind: 'tree' } | { kind: 'image'; reference: string }> = {};
  for (const [name, spec] of Object.entries(specs)) {
    if (spec === '') throw new BuildError('USAGE', `the build context \`${name}\` has no value`);
    if (spec.startsWith('target:')) {
      throw new BuildError(
        'USAGE',
        `the build context \`${name}=${spec}\` is of a bake file, which names other targets so`,
        {
          hint: `build that target first and give its image, as ${name}=docker-image://NAME; a stage of this Dockerfile needs no context`,
        },
      );
    }
    if (spec.startsWith('docker-image://')) {
      named[name] = { kind: 'image', reference: spec.slice('docker-image://'.length) };
    } else if (spec.startsWith('oci-layout://')) {
      named[name] = { kind: 'image', reference: spec };
    } else {
      named[name] = { kind: 'tree' };
    }
  }
  return named;
}
