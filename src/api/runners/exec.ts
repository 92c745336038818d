import { goQuote } from '../../frontend/go-quote.ts';
import type { Definition } from '../../graph/definition.ts';
import type { ExecOp } from '../../graph/op.ts';
import { treeContentKey } from '../../image/content-hash.ts';
import type { LayerTrees } from '../../image/layer-tree.ts';
import { digestOfJson } from '../../oci/digest.ts';
import type { OpRunner, RunContext } from '../../solver/runner.ts';
import { BuildError } from '../../util/build-error.ts';
import { formatByteSize } from '../../util/byte-size.ts';
import type { JsonValue } from '../../util/canonical-json.ts';
import type { StepOutcome } from '../result.ts';
import { layersOf } from '../result.ts';
import type { SecretGate } from '../secret-gate.ts';
import { shellOpening } from '../shell-opening.ts';
import type { FailedStep, HeldCaches, Steps } from '../steps/steps.ts';
import type { BuildOptions, UlimitOption } from '../types.ts';
import { prepareTask } from './exec-task.ts';
import { describeExec, mountedFiles } from './describe.ts';
import type { LayerTimes } from './layer-times.ts';
import { logHint, OutputEnd } from './log-hint.ts';
import type { NewLayers } from './new-layer.ts';
import { baseKey, stackOf, standing } from './stack.ts';

/** What a build says about all of its RUN steps. */
export interface ExecSettings {
  readonly secrets: { get(id: string): Promise<Uint8Array | undefined> };
  readonly sshSockets: Readonly<Record<string, string>>;
  readonly proxyEnv: readonly string[];
  /** PEM: certificate authorities besides the image's. Like proxies in no cache key and no layer. */
  readonly certificates: string | undefined;
  readonly extraHosts: readonly string[];
  readonly shmSize?: number | undefined;
  readonly isolated: boolean;
  readonly limits: BuildOptions['limits'];
  readonly ulimits: readonly UlimitOption[];
  readonly allow: ReadonlySet<string>;
  readonly drained?: (() => Promise<void> | undefined) | undefined;
  readonly onFailedStep?: BuildOptions['onFailedStep'];
  /** Of the whole build: not aborted when a step fails. */
  readonly signal: AbortSignal;
  /** On the store's filesystem; made when first asked for. */
  readonly tempDir: () => Promise<string>;
}

interface ExecDependencies {
  readonly steps: () => Promise<Steps>;
  readonly times: LayerTimes;
  readonly settings: ExecSettings;
  readonly layers: NewLayers;
  readonly trees: LayerTrees;
  readonly gate: SecretGate | undefined;
  /** Called before cache mounts are taken: brings what other machines have. */
  readonly fillCaches: ((op: ExecOp, steps: Steps) => Promise<void>) | undefined;
}

/**
 * RUN (K-5, K-6): keyed by everything that the step can see but for secret values, agents, proxies, certificate authorities, host
 * addresses and what is in cache mounts. Of a bind mount the content at its source counts, and what the step stands on counts by the
 * content of the whole filesystem. A step can see the mtime of a file, but none is part of a key: files are what they contain.
 */
export function execRunner(dependencies: ExecDependencies): OpRunner<StepOutcome, ExecOp, HeldCaches> {
  const { settings, times, steps, trees } = dependencies;
  return {
    cacheKey: (op) =>
      Promise.resolve(
        digestOfJson({
          op: op as unknown as JsonValue,
          hosts: settings.extraHosts.map((host) => host.split(/[:=]/, 1)[0] ?? ''),
          ulimits: settings.ulimits as unknown as JsonValue,
          ...(settings.shmSize === undefined ? {} : { shm: settings.shmSize }),
          times: times.identity(),
        }),
      ),
    inputKey: async (op, index, input) => {
      if (index === op.base) return baseKey(trees, input);
      const sources = sourcesOf(op, index);
      if (input.kind === 'tree') return treeContentKey(input.tree, sources);
      const tree = trees.of(stackOf(input));
      const keys: (readonly [string, string])[] = [];
      for (const source of [...new Set(sources)].toSorted())
        keys.push([source, (await tree.identity(source)) ?? 'missing']);
      return digestOfJson(keys);
    },
    standing,
    describe: (op) => describeExec(op, settings, times),
    inputFiles: (op, index, input) =>
      index === op.base || input.kind !== 'tree'
        ? Promise.resolve(undefined)
        : mountedFiles(input.tree, sourcesOf(op, index)),
    check: async ({ platform }) => {
      await (await steps()).check(platform);
    },
    reserve: async (op, signal) => {
      if (!op.mounts.some(({ type }) => type === 'cache')) return undefined;
      const ready = await steps();
      await dependencies.fillCaches?.(op, ready);
      return ready.takeCaches(op, signal);
    },
    run: async (op, inputs, context) => {
      const base = op.base === undefined ? [] : layersOf(inputs[op.base]);
      const { signal, held: caches } = context;
      const layersBelow = base.map((one) => one.layer);
      const id = context.vertex.digest.slice(7, 23);
      await using prepared = await prepareTask(op, { id, layers: layersBelow, inputs }, { settings, signal });
      const said = new OutputEnd();
      const { exitCode, oomKilled, layer, leaks, failed } = await (
        await steps()
      ).run(
        { ...prepared.task, ...times.clamp(), gate: dependencies.gate?.data },
        {
          caches,
          onOutput: (stream, data) => {
            said.push(data);
            context.emit({ type: 'log', id: context.vertex.digest, stream, data, time: Date.now() });
            return settings.drained?.();
          },
          signal,
          keepFailed: settings.onFailedStep !== undefined,
        },
      );
      if (layer === undefined) {
        await using left = failed;
        const usual = logHint(said.text(), op, settings.certificates);
        const hint = usual ?? absentHint(await absentSecrets(op, settings));
        const memory = settings.limits?.memory;
        const error = stepFailed(op, { exitCode, oomKilled, memory, hint }, context);
        // Of several that fail only the first is shown.
        if (left !== undefined && context.fail(error)) await showFailed(left, { error, context, settings });
        throw error;
      }
      return { kind: 'layers', layers: [...base, dependencies.layers.made(layer, leaks, context)] };
    },
  };
}

/** What the mounts of a step show of an input. */
function sourcesOf(op: ExecOp, index: number): readonly string[] {
  return op.mounts.flatMap((mount) =>
    (mount.type === 'bind' || mount.type === 'cache') && mount.input === index ? [mount.source] : [],
  );
}

/** Lets the caller look at what a failed step has left. */
async function showFailed(
  left: FailedStep,
  about: { readonly error: BuildError; readonly context: RunContext; readonly settings: ExecSettings },
): Promise<void> {
  const { error, context, settings } = about;
  const { name, source } = context.vertex.meta;
  await settings.onFailedStep?.({
    name,
    error: error.at(source),
    // The step's own signal is aborted: the build has failed.
    shell: (options) => left.shell(shellOpening(options, settings.signal)),
  });
}

function stepFailed(
  op: ExecOp,
  step: {
    readonly exitCode: number;
    readonly oomKilled?: boolean;
    readonly memory: number | undefined;
    /** Where the status tells nothing. */
    readonly hint: string | undefined;
  },
  context: RunContext,
): BuildError {
  const { exitCode, oomKilled = false, memory, hint } = step;
  const used =
    memory === undefined
      ? 'that of this machine or container was'
      : `the ${formatByteSize(memory)} of --memory were`;
  const reason = oomKilled ? 'cannot allocate memory' : `exit code: ${exitCode}`;
  return new BuildError(
    'STEP_FAILED',
    `process ${shownCommand(op.args)} did not complete successfully: ${reason}`,
    {
      details: { exitCode, oomKilled, command: op.args, step: context.vertex.digest },
      hint: oomKilled
        ? `the kernel killed it for want of memory: ${used} used up`
        : (statusHints[exitCode] ?? hint),
    },
  );
}

/** The secrets that a step mounts and that the build was not given: their files are missing, which a step is told by no error of its own. */
async function absentSecrets(op: ExecOp, { secrets }: ExecSettings): Promise<readonly string[]> {
  const ids = op.mounts.flatMap((mount) => (mount.type === 'secret' ? [mount.id] : []));
  const given = await Promise.all(
    ids.map(async (id) => (await secrets.get(id).catch(() => null)) !== undefined),
  );
  return ids.filter((_, index) => given[index] === false);
}

function absentHint([id]: readonly string[]): string | undefined {
  return id === undefined ? undefined : `the build was given no secret \`${id}\`: --secret id=${id},src=FILE`;
}

const statusHints: Readonly<Record<number, string>> = {
  126: 'a command was found but could not be executed',
  127: 'a command was not found in the image',
  137: 'it was killed by SIGKILL, most often for want of memory',
};

/** A script may be long, and stands in the Dockerfile. */
const longestCommand = 200;

function shownCommand(args: readonly string[]): string {
  const text = args.join(' ');
  return goQuote(text.length <= longestCommand ? text : `${text.slice(0, longestCommand - 1)}…`);
}

/** Throws ENTITLEMENT_REQUIRED, at its line, for a step that asks for a right that was not granted, whether it is known or has to run. */
export function requireEntitlements(definition: Definition, allow: ReadonlySet<string>): void {
  for (const { op, meta } of definition.vertices) {
    if (op.kind !== 'exec') continue;
    const needed = [
      ...(op.security === 'insecure' ? ['security.insecure'] : []),
      ...(op.network === 'host' ? ['network.host'] : []),
    ].filter((right) => !allow.has(right));
    if (needed.length === 0) continue;
    throw new BuildError(
      'ENTITLEMENT_REQUIRED',
      `the step asks for ${needed.join(' and ')}, which was not allowed`,
      {
        source: meta.source,
        hint: `if you trust this Dockerfile, build with ${needed.map((right) => `--allow ${right}`).join(' ')}`,
      },
    );
  }
}
