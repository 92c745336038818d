import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, test } from 'vitest';
import { kernelVersion, ownCgroups } from '../../src/host/probe.ts';

/** What a suite may need of the host besides Node; `root` means with CAP_SYS_ADMIN, `x64` that programs of `elf.ts` run. A tool is looked for on PATH and where Debian puts it. */
export type Need =
  | 'root'
  | 'linux'
  | 'x64'
  | 'npm-registry'
  | 'memory-cgroup'
  | 'own-binfmt'
  | { readonly tool: string; readonly debian: string };

/** A program of the host and the Debian package that has it. */
export function tool(name: string, debian: string = name): Need {
  return { tool: name, debian };
}

/** Every tool that some test needs: what global-setup and .ci/run install. */
export const debianPackages: Readonly<Record<string, string>> = {
  runc: 'runc',
  crun: 'crun',
  buildah: 'buildah',
  podman: 'podman',
  skopeo: 'skopeo',
  umoci: 'umoci',
  'docker-registry': 'docker-registry',
  mmdebstrap: 'mmdebstrap',
  busybox: 'busybox-static',
  htpasswd: 'apache2-utils',
  strace: 'strace',
  newuidmap: 'uidmap',
  slirp4netns: 'slirp4netns',
  pasta: 'passt',
  openssl: 'openssl',
  git: 'git',
  'qemu-aarch64-static': 'qemu-user-static',
  as: 'binutils',
  'aarch64-linux-gnu-as': 'binutils-aarch64-linux-gnu',
  setcap: 'libcap2-bin',
  runuser: 'util-linux',
  bzip2: 'bzip2',
  xz: 'xz-utils',
  script: 'bsdutils',
  'ssh-agent': 'openssh-client',
  sshd: 'openssh-server',
};

/** The program's path, or undefined. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // the next folder
    }
  }
  return undefined;
}

/** The path of a program that the suite's needs have promised; throws where it is missing after all. */
export function requireTool(name: string): string {
  const path = findTool(name);
  if (path === undefined) {
    throw new Error(`${name} is missing; on Debian: apt-get install ${debianPackages[name] ?? name}`);
  }
  return path;
}

/** What is lacking, or undefined. */
export function missing(need: Need): string | undefined {
  if (typeof need === 'object') {
    return findTool(need.tool) === undefined ? `${need.tool} (apt-get install ${need.debian})` : undefined;
  }
  const met: Readonly<Record<typeof need, () => boolean>> = {
    root: () => process.getuid?.() === 0 && hasSysAdmin(),
    linux: () => process.platform === 'linux',
    x64: () => process.arch === 'x64',
    'memory-cgroup': hasMemoryCgroup,
    // binfmt_misc of a user namespace
    'own-binfmt': () => kernelVersion() >= 6007,
    'npm-registry': () => process.env['npm_config_offline'] !== 'true',
  };
  return met[need]() ? undefined : need;
}

/**
 * A suite that needs something of the host. Where that is missing it is skipped, and its name says why; with
 * TSBUILD_REQUIRE_ALL=1 (CI) it fails instead, so that nothing is left out silently.
 */
export function suite(name: string, needs: readonly Need[], body: () => void): void {
  const reasons = needs.map(missing).filter((reason) => reason !== undefined);
  if (reasons.length === 0) {
    describe(name, body);
  } else if (process.env['TSBUILD_REQUIRE_ALL'] === '1') {
    test(name, () => {
      throw new Error(`this host lacks ${reasons.join(', ')}`);
    });
  } else {
    describe.skip(`${name} (skipped: this host lacks ${reasons.join(', ')})`, body);
  }
}

/** Makes a cgroup below this process's own that may use so many bytes. Throws where that is not possible. */
export function makeMemoryCgroup(limit: number): string {
  const name = `tsbuild-test-${process.pid}-${Date.now()}`;
  for (const own of ownCgroups()) {
    const cgroup = join(own, name);
    const files = ['memory.limit_in_bytes', 'memory.max'].map((file) => join(cgroup, file));
    try {
      mkdirSync(cgroup);
    } catch {
      continue;
    }
    const file = files.find((path) => existsSync(path));
    if (file !== undefined) {
      writeFileSync(file, String(limit));
      return cgroup;
    }
    rmdirSync(cgroup);
  }
  throw new Error('no memory cgroup can be made here');
}

function hasMemoryCgroup(): boolean {
  try {
    rmdirSync(makeMemoryCgroup(1024 ** 3));
    return true;
  } catch {
    return false;
  }
}

function hasSysAdmin(): boolean {
  const line = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return line !== null && (BigInt(`0x${line[1] ?? '0'}`) & (1n << 21n)) !== 0n;
}
