import { ordersEndOnExec } from '../host/agent/items.ts';
import type { PlanItem, PlannedCall } from '../host/agent/plan.ts';
import type { ContainerStart } from './container-start.ts';
import { takeErrorOutput } from './container-start.ts';
import { mountPlan } from './embedded-mounts.ts';
import { ownerProgram } from './owner-filter.ts';
import { FREE, limits, ownSession, programs, rights, standardStreams } from './process-start.ts';
import type { RuntimeSpec } from './runtime-spec.ts';
import type { SeccompArch } from './seccomp.ts';
import { seccompProgram } from './seccomp.ts';

export interface EmbeddedHost {
  readonly arch: SeccompArch;
  readonly cgroupV2: boolean;
  readonly ids: 'many' | 'single' | undefined;
  /** Where the sandbox's view of an absolute path is. */
  readonly view: (path: string) => string;
  /** Were the standard streams made for the step? Else they are those of this process. */
  readonly ownStreams: boolean;
}

/**
 * What the first process of an embedded container does, in new mount, pid, ipc, uts and perhaps network and cgroup namespaces with a fresh
 * /proc: it mounts, pivots, gives up every right that config.json does not grant, and becomes the step's process.
 */
export function embeddedStart(spec: RuntimeSpec, host: EmbeddedHost): ContainerStart {
  const { process: step, linux } = spec;
  const namespaces = new Set(linux.namespaces.map(({ type }) => type));
  const single = host.ids === 'single';
  const { seccomp } = linux;
  const before: PlanItem[] = [
    ...takeErrorOutput,
    { name: 'umask', args: [0o022], what: 'umask' },
    ...mountPlan(spec, host),
    { name: 'sethostname', args: [spec.hostname, Buffer.byteLength(spec.hostname)], what: 'the host name' },
    ...(namespaces.has('network') ? loopbackUp : []),
    ...limits(step),
    ...standardStreams(step, { ownStreams: host.ownStreams, giveAway: !single }),
    ...ownSession(step),
    // Before the rights go: a filter without no_new_privs needs CAP_SYS_ADMIN.
    ...(seccomp === undefined ? [] : [filter(seccompProgram(host.arch), 0)]),
  ];
  const listening = single && seccomp !== undefined;
  return {
    before,
    listener: listening ? filter(ownerProgram(host.arch), SECCOMP_FILTER_FLAG_NEW_LISTENER) : undefined,
    after: [...rights(step, { identity: !single }), ordersEndOnExec],
    programs: programs(step),
  };
}

const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;

function filter(program: Uint8Array, flags: number): PlannedCall {
  const SECCOMP_SET_MODE_FILTER = 1;
  // struct sock_fprog: the number of instructions, and where they are.
  const description = [program.length / 8, program];
  return {
    name: 'seccomp',
    args: [SECCOMP_SET_MODE_FILTER, flags, description],
    what: 'the system call filter',
  };
}

const loopbackUp: readonly PlanItem[] = ((): PlanItem[] => {
  const [AF_INET, SOCK_DGRAM, SIOCSIFFLAGS, IFF_UP_RUNNING] = [2, 2, 0x8914, 0x41] as const;
  const request = Buffer.alloc(40);
  request.write('lo');
  request.writeInt16LE(IFF_UP_RUNNING, 16);
  return [
    { name: 'socket', args: [AF_INET, SOCK_DGRAM, 0], what: 'a socket' },
    { name: 'ioctl', args: [FREE, SIOCSIFFLAGS, request], what: 'the network device lo' },
    { name: 'close', args: [FREE], what: 'a socket' },
  ];
})();
