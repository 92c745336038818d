import { constants } from 'node:fs';
import { allCapabilities, capabilitiesIn } from '../../src/executor/capabilities.ts';
import type { ContainerStart } from '../../src/executor/container-start.ts';
import { takeErrorOutput } from '../../src/executor/container-start.ts';
import type { RuntimeSpec, SpecMount } from '../../src/executor/runtime-spec.ts';
import type { Bundle } from '../../src/executor/runtime.ts';
import { becomes, ordersEndOnExec } from '../../src/host/agent/items.ts';
import type { PlanItem } from '../../src/host/agent/plan.ts';
import { AT_FDCWD } from '../../src/host/agent/plan.ts';
import { CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID } from '../../src/host/container-constants.ts';
import { capabilitySet, findProgram } from '../../src/host/probe.ts';
import type { Host } from './attempt.ts';

// Bundles with one protection less each: what gets through on them shows that the attempts are real ones.

export interface Weakening {
  /** Changes config.json. */
  readonly spec?: (spec: RuntimeSpec) => RuntimeSpec;
  /** Namespaces that the process around the runtime does not make: CLONE_NEW* flags. */
  readonly without?: number;
  /** Changes how that process becomes the runtime. */
  readonly start?: (start: ContainerStart, bundle: Bundle, host: Host) => ContainerStart;
}

const openFolder = (folder: string): PlanItem => ({
  name: 'openat',
  args: [AT_FDCWD, folder, constants.O_RDONLY, 0],
  what: 'a descriptor of the host',
});

function unfiltered(spec: RuntimeSpec): RuntimeSpec {
  const { seccomp: _, ...linux } = spec.linux;
  // A machine may not have all of them to give.
  const all = capabilitiesIn(allCapabilities, capabilitySet('CapBnd'));
  const capabilities = { bounding: all, effective: all, permitted: all, inheritable: [], ambient: [] };
  return { ...spec, process: { ...spec.process, capabilities }, linux };
}

function withMounts(spec: RuntimeSpec, change: (mount: SpecMount) => SpecMount): RuntimeSpec {
  return { ...spec, mounts: spec.mounts.map(change) };
}

function withoutOptions(mount: SpecMount, ...options: readonly string[]): SpecMount {
  return { ...mount, options: mount.options.filter((option) => !options.includes(option)) };
}

function withoutNamespaces(spec: RuntimeSpec, ...types: readonly string[]): RuntimeSpec {
  const namespaces = spec.linux.namespaces.filter(({ type }) => !types.includes(type));
  return { ...spec, linux: { ...spec.linux, namespaces } };
}

export type WeakeningName =
  | 'calls'
  | 'files'
  | 'devices'
  | 'namespaces'
  | 'descriptors'
  | 'chroot'
  | 'inheritable'
  | 'groups'
  | 'mounts'
  | 'session';

export const weakenings: Readonly<Record<WeakeningName, Weakening>> = {
  /** All capabilities, no system call filter. */
  calls: { spec: unfiltered },
  /** Nothing masked, nothing read-only. */
  files: {
    spec: (spec) => ({
      ...withMounts(spec, (mount) =>
        mount.destination.startsWith('/sys') ? withoutOptions(mount, 'ro') : mount,
      ),
      linux: { ...spec.linux, maskedPaths: [], readonlyPaths: [] },
    }),
  },
  /** All device files work. */
  devices: {
    spec: (spec) => {
      const changed = unfiltered(spec);
      const resources = { devices: [{ allow: true, access: 'rwm' }] };
      return { ...changed, linux: { ...changed.linux, resources } };
    },
  },
  /** The host's processes, network and shared memory. */
  namespaces: {
    spec: (spec) => withoutNamespaces(unfiltered(spec), 'pid', 'network', 'ipc'),
    without: CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC,
  },
  /** A descriptor of the host is left open. */
  descriptors: {
    start(start, { path }, { folder }) {
      const [first] = start.programs;
      const [program, args] = first?.args ?? [];
      if (start.listener === undefined && typeof program === 'string' && program.endsWith('/runc')) {
        // runc hands on those that it is told to, and no standard input.
        const words = (args as (string | number)[]).slice(1, -1).map(String);
        words.splice(words.indexOf('run') + 1, 0, '--preserve-fds=1');
        const script = ['sh', '-c', 'exec "$@" 3<"$0"', folder, program, ...words];
        return { ...start, programs: [becomes('/bin/sh', script, [`PATH=${path}`])] };
      }
      const asInput: readonly PlanItem[] = [
        openFolder(folder),
        { name: 'dup3', args: [4, 0, 0], what: 'its number' },
        { name: 'close', args: [4], what: 'its other number' },
      ];
      return {
        ...start,
        before: [...takeErrorOutput, ...asInput, ...start.before.slice(takeErrorOutput.length)],
      };
    },
  },
  /** No container at all, but chroot(1). */
  chroot: {
    start(_, { directory, spec, path }) {
      const root = `${directory}/merged`;
      const program = findProgram('chroot', path) ?? 'chroot';
      return {
        before: [
          ...takeErrorOutput,
          { name: 'mount', args: ['proc', `${root}/proc`, 'proc', 0, null], what: 'mounting /proc' },
        ],
        listener: undefined,
        after: [ordersEndOnExec],
        programs: [becomes(program, ['chroot', root, ...spec.process.args], spec.process.env)],
      };
    },
  },
  inheritable: {
    spec: (spec) => ({
      ...spec,
      process: {
        ...spec.process,
        capabilities: { ...spec.process.capabilities, inheritable: spec.process.capabilities.bounding },
      },
    }),
  },
  groups: {
    spec: (spec) => ({
      ...spec,
      process: { ...spec.process, user: { ...spec.process.user, additionalGids: [] } },
    }),
  },
  /** Mounts that can be written to, and programs with setuid on them. */
  mounts: {
    spec: (spec) => withMounts(spec, (mount) => withoutOptions(mount, 'ro', 'nosuid', 'nodev')),
  },
  /** In the session of whoever builds. */
  session: {
    start: (start) => ({
      ...start,
      before: start.before.filter((item) => item === 'fork' || item.name !== 'setsid'),
    }),
  },
};
