import { cutFile } from '../frontend/cut.ts';
import type { ExecOp } from '../graph/op.ts';
import type { Vertex } from '../graph/vertex.ts';
import { BuildError } from '../util/build-error.ts';
import type { PreparedBuild } from './prepare-build.ts';
import { prepareBuild } from './prepare-build.ts';
import type { ResultLayer, StepOutcome } from './result.ts';
import { layersOf } from './result.ts';
import { run } from './run.ts';
import { prepareTask } from './runners/exec-task.ts';
import { withSession } from './session.ts';
import { requireTerminal, shellArgs, shellOpening } from './shell-opening.ts';
import type { ShellOptions } from './types.ts';
import { withMaskedSecrets } from './with-masked-secrets.ts';

/**
 * Opens a shell at any line of a Dockerfile, or in an image: in the sandbox of a RUN that would stand there, with its environment, user
 * and directory; on the line of a RUN also with its mounts, network and rights. What is not cached up to there is built first; the line
 * itself is not run again. What is written in the shell is thrown away; its status is a result, not an error.
 *
 * Errors are those of `build`, USAGE for a line where nothing is, and STEP_START where there is no `sh`.
 */
export async function shell(options: ShellOptions): Promise<{ readonly exitCode: number }> {
  requireTerminal(options);
  if (options.image !== undefined) return inImage(options, options.image);
  return withMaskedSecrets(options, (masked, needles) =>
    withSession(masked, async (session) => {
      const { line, before, target, ...others } = masked;
      const point: { at: 'before' | 'after' } = { at: 'before' };
      await using prepared = await prepareBuild(others, session, {
        needles,
        cut: (parsed) => {
          const { file, at } = cutFile(parsed, { line, before, target });
          point.at = at;
          return file;
        },
      });
      return await openAt(prepared, point.at, { ...masked, signal: session.signal });
    }),
  );
}

async function openAt(
  prepared: PreparedBuild,
  at: 'before' | 'after',
  options: ShellOptions & { readonly signal: AbortSignal },
): Promise<{ readonly exitCode: number }> {
  const { settings } = prepared;
  const { signal } = options;
  const { vertex, op } = lastRun(prepared);
  const inputs: (StepOutcome | undefined)[] = [];
  const needed = new Set(op.mounts.flatMap((mount) => ('input' in mount ? (mount.input ?? []) : [])));
  const solve = async (index: number): Promise<StepOutcome | undefined> =>
    (await prepared.solve(vertex.inputs[index])).result;
  let layers: readonly ResultLayer[] = [];
  if (at === 'after') layers = layersOf((await prepared.solve()).result);
  else if (op.base !== undefined) layers = layersOf(await solve(op.base));
  for (const index of needed) inputs[index] = await solve(index);
  const steps = await prepared.steps();
  const place = { id: 'shell', layers: layers.map(({ layer }) => layer), inputs };
  await using ready = await prepareTask(op, place, { settings, signal });
  const caches = op.mounts.some(({ type }) => type === 'cache')
    ? await steps.takeCaches(op, signal)
    : undefined;
  using held = caches;
  options.onReady?.();
  return await steps.shell(ready.task, { ...shellOpening(options, signal), caches: held ?? undefined });
}

/** The RUN that the file was cut at. */
function lastRun({ plan }: PreparedBuild): { readonly vertex: Vertex; readonly op: ExecOp } {
  const { vertices, target } = plan.lowered.definition;
  const vertex = vertices.find(({ digest }) => digest === target);
  if (vertex?.op.kind === 'exec') return { vertex, op: vertex.op };
  throw new BuildError('USAGE', 'a build context stands in the place of this stage', {
    hint: 'look into that, or leave --build-context out',
  });
}

function inImage(options: ShellOptions, image: string): Promise<{ readonly exitCode: number }> {
  const { command, interactive = false, tty = false } = options;
  const [entrypoint, ...args] = shellArgs(command, interactive && tty);
  const { root, env, signal, onEvent, insecureRegistries, trustedRealms, registryMirrors } = options;
  const { registryFiles, credentials, certificateAuthorities } = options;
  return run({
    ...{ root, env, signal, onEvent, insecureRegistries, trustedRealms, registryMirrors },
    ...{ registryFiles, credentials, certificateAuthorities },
    ...{ image, entrypoint, args, interactive, tty },
    network: options.network,
    runtime: options.runtime,
    isolation: options.isolation,
    onOutput: options.onOutput,
    onReady: options.onReady,
  });
}
