import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Runtime } from '../../src/executor/runtime.ts';
import { Agent } from '../../src/host/agent/agent.ts';
import type { PlanItem } from '../../src/host/agent/plan.ts';
import type { Host } from './attempt.ts';
import type { Weakening } from './weakenings.ts';

/** The same runtime with a weakened bundle. */
export function weakRuntime(runtime: Runtime, weakening: Weakening, host: Host): Runtime {
  return {
    ...runtime,
    start(bundle) {
      const spec = weakening.spec?.(bundle.spec) ?? bundle.spec;
      if (runtime.readsConfig) writeFileSync(join(bundle.directory, 'config.json'), JSON.stringify(spec));
      const start = runtime.start({ ...bundle, spec });
      return weakening.start?.(start, { ...bundle, spec }, host) ?? start;
    },
  };
}

/** Until it is disposed of, no process makes these namespaces (CLONE_NEW* flags), whoever tells it to. */
export function withoutNamespaces(flags: number): Disposable {
  const before = Object.getOwnPropertyDescriptor(Agent.prototype, 'execute');
  const execute = before?.value as (this: Agent, plan: readonly PlanItem[]) => Promise<bigint | undefined>;
  Object.defineProperty(Agent.prototype, 'execute', {
    ...before,
    value(this: Agent, plan: readonly PlanItem[]) {
      return execute.call(this, flags === 0 ? plan : plan.flatMap((item) => weakItem(item, flags)));
    },
  });
  return {
    [Symbol.dispose]() {
      Object.defineProperty(Agent.prototype, 'execute', { ...before });
    },
  };
}

function weakItem(item: PlanItem, flags: number): PlanItem[] {
  if (item === 'fork' || item.name !== 'unshare') {
    // What shows the processes of the namespace that is not made.
    return item !== 'fork' && item.what === 'mounting /proc' && item.args[1] === '/proc' ? [] : [item];
  }
  return [{ ...item, args: [Number(item.args[0]) & ~flags] }];
}
