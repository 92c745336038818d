import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lock } from '../../src/store/lock.ts';
import { tryLockFile } from '../../src/store/lock.ts';
import { must, tsbuild } from './cli.ts';
import { examples } from './paths.ts';
import { requireTool } from './require.ts';
import { tempFolder } from './temp.ts';

// Root filesystems are kept between runs: the Debian one takes half a minute. The user's id keeps two users apart.
const cache = join(tmpdir(), `tsbuild-test-bases-${process.getuid?.() ?? 0}`);

/** A tar of a small root filesystem: static busybox with its applets, users, an empty /tmp. */
export function busyboxRootfs(): string {
  return cached('busybox-3.tar', (out) => {
    const busybox = requireTool('busybox');
    const work = mkdtempSync(join(tmpdir(), 'tsbuild-busybox-'));
    try {
      for (const folder of [
        'bin',
        'etc',
        'root',
        'tmp',
        'home/app',
        'usr/bin',
        'var',
        'dev',
        'proc',
        'run',
        'sys',
      ]) {
        mkdirSync(join(work, folder), { recursive: true });
      }
      copyFileSync(busybox, join(work, 'bin/busybox'));
      chmodSync(join(work, 'bin/busybox'), 0o755);
      const script = `
        set -e
        cd "$1"
        for applet in $("$2" --list); do [ "$applet" = busybox ] || ln -sf busybox "bin/$applet"; done
        ln -s ../../bin/env usr/bin/env
        printf 'root:x:0:0:root:/root:/bin/sh\\napp:x:1000:1000:app:/home/app:/bin/sh\\nnobody:x:65534:65534::/:/bin/false\\n' >etc/passwd
        printf 'root:x:0:\\napp:x:1000:\\nextra:x:2000:app\\nnogroup:x:65534:\\n' >etc/group
        chmod 755 . bin dev etc home home/app proc run sys usr usr/bin var
        chmod 644 etc/passwd etc/group
        chmod 1777 tmp
        chmod 700 root
        tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1000000000 --format=posix \
          --pax-option=delete=atime,delete=ctime -cf "$3" .
      `;
      run('sh', ['-c', script, 'sh', work, busybox, out]);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
}

/** A tar of a minimal Debian, made by examples/base/make-rootfs.sh. */
export function debianRootfs(): string {
  return cached('debian-1.tar', (out) => run(join(examples, 'base/make-rootfs.sh'), [out]));
}

/**
 * Builds a base image from a root filesystem's tar with tsbuild, as examples/base does, into the store at `root`. Its
 * digest is the same each time.
 */
export async function makeBase(
  root: string,
  name: string,
  rootfs: string,
  as: typeof tsbuild = tsbuild,
): Promise<void> {
  await using folder = await tempFolder('base');
  // For other users.
  chmodSync(folder.path, 0o755);
  await copyFile(rootfs, join(folder.path, 'rootfs.tar'));
  await writeFile(join(folder.path, 'Dockerfile'), 'FROM scratch\nADD rootfs.tar /\nCMD ["/bin/sh"]\n');
  const env = { SOURCE_DATE_EPOCH: '1000000000' };
  await must(as(['--root', root, '--progress', 'plain', '-t', name, folder.path], { env }));
}

/** Path of Debian's static busybox for arm64, which this machine need not be able to run. Needs apt-get and its mirror. */
export function arm64Busybox(): string {
  return cached('busybox-arm64-1', (out) => {
    const work = mkdtempSync(join(tmpdir(), 'tsbuild-arm64-'));
    try {
      for (const folder of ['lists/partial', 'cache/archives/partial'])
        mkdirSync(join(work, folder), { recursive: true });
      const script = `
        set -e
        cd "$1"
        # Lists and packages of another architecture, kept apart from those of the machine.
        apt() {
          apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Acquire::Languages=none \
            -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD/cache" -o APT::Sandbox::User=root "$@"
        }
        apt update
        apt download busybox-static:arm64
        dpkg-deb -x busybox-static*.deb unpacked
        cp unpacked/bin/busybox "$2"
      `;
      run('sh', ['-c', script, 'sh', work, out]);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
}

/** Two test files that need it at the same time make it once. */
function cached(name: string, make: (out: string) => void): string {
  const file = join(cache, name);
  if (existsSync(file)) return file;
  mkdirSync(cache, { recursive: true, mode: 0o755 });
  using _ = lockNow(`${file}.lock`);
  if (existsSync(file)) return file;
  const partial = `${file}.${process.pid}`;
  make(partial);
  renameSync(partial, file);
  return file;
}

/** Waits without letting anything else run, as what makes a base does. */
function lockNow(path: string): Lock {
  for (;;) {
    const lock = tryLockFile(path);
    if (lock !== undefined) return lock;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, {
    stdio: ['ignore', 'inherit', 'pipe'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${program} ended with status ${status}: ${stderr}`);
}
