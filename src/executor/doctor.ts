import { readdirSync } from 'node:fs';
import { release, userInfo } from 'node:os';
import type { IdRange } from '../host/probe.ts';
import {
  appArmorRestrictsUserNamespaces,
  binfmtNames,
  capabilitySet,
  cgroupMode,
  findProgram,
  helperPath,
  kernelVersion,
  knowsFilesystem,
  subordinateIds,
  userNamespaceLimit,
} from '../host/probe.ts';
import { chooseRuntime, examineRuntime } from './choose-runtime.ts';
import { hostProblem, inspect, runtimeSearch } from './executor.ts';
import { ociRuntimeNames } from './oci-runtime.ts';

export interface HostCheck {
  readonly name: string;
  readonly status: 'ok' | 'warning' | 'missing';
  readonly detail: string;
  /** The one command or setting that would help. */
  readonly fix?: string | undefined;
}

export interface HostReport {
  readonly checks: readonly HostCheck[];
  /** The runtime that RUN steps would use; undefined: they cannot run here. */
  readonly runtime: string | undefined;
}

type Check = Omit<HostCheck, 'name'>;

/** What this host can do (`tsbuild doctor`). Tries each runtime once; changes nothing else. */
export async function inspectHost(options: {
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
}): Promise<HostReport> {
  const path = helperPath(options.env);
  const checks: HostCheck[] = [];
  const add = (name: string, check: Check): void => void checks.push({ name, ...check });
  add('system', system());
  if (process.platform === 'linux') {
    add('rights', rights());
    add('kernel', kernel());
    add('overlay', overlay());
    add('user namespaces', userNamespaces());
    add('cgroups', { status: 'ok', detail: cgroupMode() });
    add('util-linux', utilLinux(path));
  }
  const problem = hostProblem(options.env);
  let runtime: string | undefined;
  if (problem === undefined) {
    const search = runtimeSearch(inspect(options), undefined);
    for (const name of [...ociRuntimeNames, 'embedded']) {
      const finding = await examineRuntime(name, search);
      if (finding === undefined)
        add(name, { status: 'missing', detail: 'not installed (one runtime is enough)' });
      else if (!finding.usable)
        add(name, { status: 'warning', detail: `does not work: ${finding.problem ?? ''}` });
      else if (finding.holes !== undefined)
        add(name, {
          status: 'warning',
          detail: `${finding.version ?? ''} works, but has known holes: ${finding.holes}`,
          fix: `update ${name}`,
        });
      else add(name, { status: 'ok', detail: finding.version ?? 'works' });
    }
    runtime = await chooseRuntime(search).then(
      (chosen) => chosen.name,
      () => undefined,
    );
    add(
      'runtime of RUN',
      runtime === undefined
        ? { status: 'missing', detail: 'no runtime works here', fix: 'install crun' }
        : { status: 'ok', detail: runtime },
    );
  } else add('runtime of RUN', { status: 'missing', detail: problem.message, fix: problem.hint });
  add('network', network(path));
  if (process.platform === 'linux') {
    add('subordinate ids', subordinate());
    add('foreign platforms', foreignPlatforms());
  }
  add(
    'git',
    findProgram('git', path) === undefined
      ? {
          status: 'warning',
          detail: 'not installed: no git contexts, no ADD of repositories',
          fix: 'install git',
        }
      : { status: 'ok', detail: 'installed' },
  );
  return { checks, runtime };
}

function system(): Check {
  const detail = `${process.platform} ${process.arch}, Node ${process.versions.node}, zlib ${process.versions.zlib ?? ''}`;
  return process.platform === 'linux'
    ? { status: 'ok', detail }
    : { status: 'warning', detail: `${detail}: builds without RUN only`, fix: 'build with RUN on Linux' };
}

function rights(): Check {
  const SYS_ADMIN = 1n << 21n;
  if (process.getuid?.() !== 0)
    return { status: 'missing', detail: `user ${userInfo().username}, not root`, fix: 'build as root' };
  if ((capabilitySet('CapEff') & SYS_ADMIN) === 0n)
    return {
      status: 'missing',
      detail: 'root without CAP_SYS_ADMIN',
      fix: 'start the container with --privileged',
    };
  return { status: 'ok', detail: 'root' };
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

function utilLinux(path: string): Check {
  const absent = ['unshare', 'setpriv', 'mount', 'cp', 'sh'].filter(
    (name) => findProgram(name, path) === undefined,
  );
  return absent.length === 0
    ? { status: 'ok', detail: 'unshare, setpriv, mount' }
    : { status: 'missing', detail: `${absent.join(', ')} not installed`, fix: 'install util-linux' };
}

function network(path: string): Check {
  return findProgram('slirp4netns', path) === undefined
    ? {
        status: 'warning',
        detail: "no slirp4netns: steps share the host's network",
        fix: 'install slirp4netns',
      }
    : { status: 'ok', detail: 'slirp4netns isolates steps' };
}

function subordinate(): Check {
  const { username: name, uid } = userInfo();
  const total = (ranges: readonly IdRange[]): number => ranges.reduce((sum, { count }) => sum + count, 0);
  const uids = total(subordinateIds('/etc/subuid', { name, uid }));
  const gids = total(subordinateIds('/etc/subgid', { name, uid }));
  if (uid === 0) return { status: 'ok', detail: 'not needed by root' };
  return Math.min(uids, gids) >= 65_536
    ? { status: 'ok', detail: `${uids} users, ${gids} groups` }
    : {
        status: 'warning',
        detail: `${uids} users, ${gids} groups`,
        fix: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name}`,
      };
}

function foreignPlatforms(): Check {
  const names = binfmtNames((directory) => readdirSync(directory))?.filter((name) =>
    name.startsWith('qemu-'),
  );
  return names === undefined || names.length === 0
    ? {
        status: 'warning',
        detail: 'RUN executes for this processor only',
        fix: 'install qemu-user-static with binfmt-support',
      }
    : { status: 'ok', detail: names.join(', ') };
}
