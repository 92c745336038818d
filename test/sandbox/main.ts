import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { chooseRuntime } from '../../src/executor/choose-runtime.ts';
import { execute } from '../../src/executor/execute.ts';
import { inspect, runtimeSearch } from '../../src/executor/executor.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { makeRootfs, stepRequest } from '../integration/executor-steps.ts';
import type { Attempt, Host, Lab, Outcome, Script } from './attempt.ts';
import { titleOf } from './attempt.ts';
import { attempts } from './attempts/index.ts';
import { makeHost } from './host.ts';
import { weakRuntime, withoutNamespaces } from './weak-runtime.ts';
import type { Weakening, WeakeningName } from './weakenings.ts';
import { weakenings } from './weakenings.ts';

// A program of its own (`main <runtime> refused|weakened <folder>`), as root, be it of a user namespace, in a mount namespace of its own and at a
// terminal: makes all attempts on one runtime, and writes what came of each into the folder. It has its own mount namespace where it weakens bundles, as it mounts something for them.

const [, , runtimeName = '', mode = '', folder = ''] = process.argv;
process.umask(0o022);
try {
  process.setgroups?.([0]);
} catch {
  // Given up with the single id (user_namespaces(7)).
}

const isWeakened = mode === 'weakened';
mkdirSync(folder, { recursive: true });
const layer = makeRootfs(join(folder, 'rootfs'));
const store = join(folder, 'store');
const executionHost = inspect({ root: store, env: process.env });
const { runtime } = await chooseRuntime(runtimeSearch(executionHost, runtimeName));
const discards: (() => Promise<void>)[] = [];
const outcomes = new Map<Attempt, Omit<Outcome, 'title'>>();

{
  await using host = await makeHost(folder);
  const wanted = attempts.filter(
    ({ weakenedOn }) => !isWeakened || weakenedOn === undefined || weakenedOn.includes(runtimeName),
  );
  const batches = Object.groupBy(
    wanted.filter(({ attack }) => typeof attack !== 'function'),
    ({ attack, weakened }) => `${(attack as Script).network ?? ''} ${isWeakened ? String(weakened) : ''}`,
  );
  for (const [index, batch] of Object.values(batches).entries())
    await runScripts(batch ?? [], host, join(folder, `batch${index}`));
  for (const [index, attempt] of wanted.entries()) {
    if (typeof attempt.attack === 'function') await act(attempt, host, join(folder, `attempt${index}`));
  }
}
for (const discard of discards) await discard();
const made: Outcome[] = [...outcomes].map(([attempt, outcome]) => ({ title: titleOf(attempt), ...outcome }));
writeFileSync(join(folder, 'outcomes.json'), JSON.stringify(made));

function lab(host: Host, place: string, weakening: WeakeningName | undefined): Lab {
  mkdirSync(place);
  const weak: Weakening = weakening === undefined ? {} : weakenings[weakening];
  const used = { host: executionHost, runtime: weakRuntime(runtime, weak, host) };
  return {
    ...{ host, folder: place, layer, store },
    run: async (command, { op, terminal, ...change } = {}) => {
      const output = { stdout: '', stderr: '' };
      const request = stepRequest({ layer, command });
      using _ = withoutNamespaces(weak.without ?? 0);
      const result = await execute(
        {
          ...request,
          signal: AbortSignal.timeout(60_000),
          ...change,
          onOutput(stream, data) {
            output[stream] += Buffer.from(data).toString();
            return change.onOutput?.(stream, data);
          },
          op: { ...request.op, ...op },
        },
        { ...used, terminal },
      );
      discards.push(() => result.discard());
      return { ...result, ...output };
    },
  };
}

function weakeningOf({ weakened }: Attempt): WeakeningName | undefined {
  return isWeakened && typeof weakened === 'string' ? weakened : undefined;
}

async function act(attempt: Attempt, host: Host, place: string): Promise<void> {
  const { attack, weakened } = attempt;
  const action = isWeakened && typeof weakened === 'function' ? weakened : attack;
  if (typeof action !== 'function') return;
  try {
    outcomes.set(attempt, { escaped: await action(lab(host, place, weakeningOf(attempt))), said: '' });
  } catch (error) {
    const isRefusal = error instanceof BuildError && error.code !== 'SANDBOX_UNAVAILABLE';
    outcomes.set(attempt, {
      escaped: isRefusal ? false : undefined,
      said: isRefusal ? error.message : String((error as Error).stack),
    });
  }
}

/** Attempts that need no step of their own share one. */
async function runScripts(batch: readonly Attempt[], host: Host, place: string): Promise<void> {
  const [first] = batch;
  if (first === undefined) return;
  const { network } = first.attack as Script;
  const step = lab(host, place, weakeningOf(first));
  const scripts = join(place, 'layer');
  for (const [index, attempt] of batch.entries()) {
    const { script, programs } = attempt.attack as Script;
    const directory = join(scripts, 'attempts', String(index));
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'script'), script);
    for (const [name, bytes] of Object.entries(programs?.(host) ?? {})) {
      writeFileSync(join(directory, name), bytes);
      chmodSync(join(directory, name), 0o755);
    }
  }
  const all = `for i in $(seq 0 ${batch.length - 1}); do
    said=$(ATTEMPT=/attempts/$i timeout 10 sh /attempts/$i/script 2>&1 </attempts/0/script)
    echo "@@ $i $? $(echo $said | head -c 300)"
  done`;
  const env = ['PATH=/bin', `MARKER=${host.marker}`, `CANARY_PID=${host.pid}`, `PORT=${host.port}`];
  const op = { env, ...(network === undefined ? {} : { network }) };
  const { stdout, stderr } = await step.run(all, { layers: [layer, scripts], op });
  for (const [index, attempt] of batch.entries()) {
    const [, status, said = ''] = new RegExp(`^@@ ${index} (\\d+) ?(.*)$`, 'm').exec(stdout) ?? [];
    outcomes.set(
      attempt,
      status === undefined
        ? { escaped: undefined, said: stdout + stderr }
        : { escaped: status === '0', said: `status ${status}: ${said}` },
    );
  }
}
