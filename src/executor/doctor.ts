import { accessSync, constants } from 'node:fs';
import { release } from 'node:os';
import {
  appArmorRestrictsUserNamespaces,
  cgroupMode,
  findProgram,
  helperPath,
  kernelVersion,
  knowsFilesystem,
  userNamespaceLimit,
} from '../host/probe.ts';
import { bestIdMap, currentUser } from '../host/userns.ts';
import type { RuntimeFinding } from './choose-runtime.ts';
import { chooseRuntime, examineRuntime, runtimeNames } from './choose-runtime.ts';
import { foreignPlatforms } from './foreign-programs.ts';
import { networkPrograms } from './network-helper.ts';
import { hostResolvers } from './network.ts';
import { inspect, runtimeSearch } from './executor.ts';

export interface HostCheck {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'missing';
  readonly detail: string;
  /** The one command or setting that would help. */
  readonly fix?: string | undefined;
}

/** What the runtimes here can do, for a process that has the rights of root. */
export interface RuntimeReport {
  readonly checks: readonly HostCheck[];
  /** The runtime that RUN steps would use; undefined: they cannot run. */
  readonly runtime: string | undefined;
}

type Check = Omit<HostCheck, 'name'>;

/** What this host has that RUN steps need or use, runtimes apart. Changes nothing. */
export async function inspectHost(env: NodeJS.ProcessEnv): Promise<HostCheck[]> {
  const path = helperPath(env);
  const checks: Readonly<Record<string, () => Check | Promise<Check>>> = {
    system,
    ...(process.platform === 'linux'
      ? {
          kernel,
          overlay,
          'user namespaces': userNamespaces,
          'subordinate ids': () => subordinate(path),
          cgroups: () => ({ status: 'ok', detail: cgroupMode() }),
          network: () => network(path),
          'foreign platforms': foreign,
        }
      : {}),
    git: () => git(path),
  };
  return Promise.all(Object.entries(checks).map(async ([name, check]) => ({ name, ...(await check()) })));
}

/** Tries each runtime once. Throws SANDBOX_UNAVAILABLE, UNSUPPORTED_HERE where no step can run at all. */
export async function inspectRuntimes(options: {
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
}): Promise<RuntimeReport> {
  const search = runtimeSearch(inspect(options), undefined);
  const checks: HostCheck[] = [];
  for (const name of runtimeNames(search.host)) {
    const finding = await examineRuntime(name, search);
    checks.push({ name, ...runtimeCheck(name, finding) });
  }
  const runtime = await chooseRuntime(search).then(
    (chosen) => chosen.runtime.name,
    () => undefined,
  );
  return { checks, runtime };
}

function runtimeCheck(name: string, finding: RuntimeFinding | undefined): Check {
  if (finding === undefined) return { status: 'missing', detail: 'not installed (one runtime is enough)' };
  if (!finding.usable) return { status: 'warning', detail: `does not work: ${finding.problem ?? ''}` };
  if (finding.holes === undefined) return { status: 'ok', detail: finding.version ?? 'works' };
  return {
    status: 'warning',
    detail: `${finding.version ?? ''} works, but has known holes: ${finding.holes}; used only if asked for, or if nothing else works`,
    fix: `update ${name}`,
  };
}

function system(): Check {
  const detail = `${process.platform} ${process.arch}, Node ${process.versions.node}, zlib ${process.versions.zlib ?? ''}`;
  return process.platform === 'linux'
    ? { status: 'ok', detail }
    : { status: 'warning', detail: `${detail}: builds without RUN only`, fix: 'build with RUN on Linux' };
}

function kernel(): Check {
  if (kernelVersion() >= 5010) return { status: 'ok', detail: release() };
  return { status: 'missing', detail: `${release()}: steps need 5.10`, fix: 'update the kernel' };
}

function overlay(): Check {
  return knowsFilesystem('overlay') === true
    ? { status: 'ok', detail: 'the kernel has overlayfs' }
    : { status: 'warning', detail: 'overlayfs is not loaded', fix: 'modprobe overlay' };
}

function userNamespaces(): Check {
  if (userNamespaceLimit() === 0)
    return { status: 'warning', detail: 'switched off', fix: 'sysctl -w user.max_user_namespaces=15000' };
  if (appArmorRestrictsUserNamespaces())
    return {
      status: 'warning',
      detail: 'restricted by AppArmor',
      fix: 'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
    };
  return { status: 'ok', detail: `up to ${userNamespaceLimit()}` };
}

function network(path: string): Check {
  const [program] = networkPrograms(path, hostResolvers());
  if (program === undefined)
    return {
      status: 'warning',
      detail: "neither pasta nor slirp4netns: steps share the host's network",
      fix: 'install passt or slirp4netns',
    };
  const device = '/dev/net/tun';
  try {
    accessSync(device, constants.R_OK | constants.W_OK);
  } catch {
    return {
      status: 'warning',
      detail: `${device} cannot be opened by this user: steps share the host's network`,
      fix: `sudo chmod 666 ${device}`,
    };
  }
  return { status: 'ok', detail: `${program.name} isolates steps` };
}

function subordinate(path: string): Check {
  const { name, uid } = currentUser();
  if (uid === 0) return { status: 'ok', detail: 'not needed by root' };
  const { map, lacks } = bestIdMap(path);
  if (lacks === undefined)
    return {
      status: 'ok',
      detail: map.uids.map(({ first, count }) => `${count} from ${first}`).join(', '),
    };
  return {
    status: 'warning',
    detail: `${lacks}: files of steps have a single owner, who they belong to is written down`,
    fix:
      findProgram('newuidmap', path) === undefined
        ? 'install uidmap (shadow-utils)'
        : `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name}`,
  };
}

async function foreign(): Promise<Check> {
  const platforms = await foreignPlatforms();
  if (platforms.length > 0) return { status: 'ok', detail: platforms.join(', ') };
  return {
    status: 'warning',
    detail: 'RUN executes for this processor only',
    fix: 'install qemu-user-static with binfmt-support',
  };
}

function git(path: string): Check {
  return findProgram('git', path) === undefined
    ? {
        status: 'warning',
        detail: 'not installed: no git contexts, no ADD of repositories',
        fix: 'install git',
      }
    : { status: 'ok', detail: 'installed' };
}
