import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { MountSource, StepMount } from '../../../src/executor/step.ts';
import type { Attempt, Lab } from '../attempt.ts';
import { inOwnMounts, mountLandsOn, startsIn } from '../naive.ts';

// Mounts and working directories: names of the Dockerfile, led astray by links of the image, the context or a cache.

const bindMount = { type: 'bind', source: '/', readonly: true } as const;
const cacheMount: Extract<StepMount, { type: 'cache' }> = {
  ...{
    type: 'cache',
    target: '/cache',
    id: 'c',
    sharing: 'shared',
    readonly: false,
    source: '/',
    mode: 0o755,
    uid: 0,
    gid: 0,
  },
};

function bindOf(path: string): ReadonlyMap<number, MountSource> {
  return new Map([[0, { kind: 'directory', path }]]);
}

function made(path: string, links: Readonly<Record<string, string>> = {}): string {
  mkdirSync(path, { recursive: true });
  for (const [name, to] of Object.entries(links)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    symlinkSync(to, join(path, name));
  }
  return path;
}

/** A directory of the host, with a file of its own. */
function victim(lab: Lab): string {
  const path = made(join(lab.folder, 'victim'));
  writeFileSync(join(path, 'own'), 'canary');
  return path;
}

const isHarmed = (path: string): boolean => readdirSync(path).join() !== 'own';

/** A mount whose target leads to the host, by links of the image. */
function target(
  row: string,
  what: string,
  path: string,
  links: (host: string) => Readonly<Record<string, string>>,
  lands = 'inner',
): Attempt {
  const mounts: readonly StepMount[] = [{ type: 'tmpfs', target: path }];
  return {
    row,
    what,
    async attack(lab) {
      const host = victim(lab);
      const layers = [lab.layer, made(join(lab.folder, 'layer'), links(host))];
      await lab.run(`touch ${path}/made`, { layers, op: { mounts } }).catch(() => {});
      return isHarmed(host);
    },
    weakened(lab) {
      const host = victim(lab);
      const root = made(join(lab.folder, 'layer'), links(host));
      return mountLandsOn(root, path, join(host, lands));
    },
  };
}

/** A mount whose source leads to the host, by links of the context. */
function source(row: string, what: string, kind: 'bind' | 'cache', link: (host: string) => string): Attempt {
  return {
    row,
    what,
    async attack(lab) {
      const context = made(join(lab.folder, 'a/b/context'), { link: link(victim(lab)) });
      const mount: StepMount =
        kind === 'bind'
          ? { ...bindMount, target: '/m', source: '/link' }
          : { ...cacheMount, target: '/m', id: `seed ${what}`, source: '/link' };
      const run = await lab.run('cat /m/own', { op: { mounts: [mount] }, binds: bindOf(context) });
      return run.stdout === 'canary';
    },
    weakened(lab) {
      const context = made(join(lab.folder, 'a/b/context'), { link: link(victim(lab)) });
      return readFileSync(join(context, 'link', 'own'), 'utf8') === 'canary';
    },
  };
}

/** A working directory that leads to a descriptor of the runtime. */
function workingDirectory(
  what: string,
  path: string,
  about: {
    readonly image?: Readonly<Record<string, string>>;
    readonly context?: Readonly<Record<string, string>>;
  } = {},
): Attempt {
  return {
    row: 'CVE-2024-21626',
    what: `start in ${what}`,
    async attack(lab) {
      const layers = [lab.layer, made(join(lab.folder, 'layer'), about.image)];
      const context = made(join(lab.folder, 'context'), about.context);
      const mounts: readonly StepMount[] = [{ ...bindMount, target: '/context' }];
      const run = await lab.run('pwd', { layers, op: { cwd: path, mounts }, binds: bindOf(context) });
      // It must not even be tried: a runtime that looks itself is not what is asked for.
      return run.exitCode >= 0;
    },
    weakened(lab) {
      const root = made(join(lab.folder, 'layer'), about.image);
      const context = made(join(lab.folder, 'context'), about.context);
      made(join(root, 'bin'));
      return startsInCopy(lab, root, path, context);
    },
  };
}

function startsInCopy(lab: Lab, root: string, path: string, context: string): boolean {
  const mounts = { '/bin': join(lab.layer, 'bin'), '/context': context };
  return startsIn(root, path, { folder: lab.host.folder, mounts });
}

/** A step that starts in a shared cache, while another one could change what lies there. */
async function besideACache(
  lab: Lab,
  second: Partial<{ cwd: string; mounts: readonly StepMount[] }>,
): Promise<boolean> {
  const cache: StepMount = { ...cacheMount, target: '/cache', id: `race ${lab.folder}` };
  const started = Promise.withResolvers<void>();
  let isRunning = false;
  const changing = lab
    .run('mkdir -p /cache/sub; echo ready; sleep 1', {
      op: { mounts: [cache] },
      onOutput: () => {
        isRunning = true;
        started.resolve();
      },
    })
    .finally(() => (isRunning = false));
  await Promise.race([started.promise, changing]);
  let together = false;
  await lab.run('echo started', {
    op: { cwd: second.cwd ?? '/', mounts: [cache, ...(second.mounts ?? [])] },
    onOutput: () => {
      together ||= isRunning;
    },
  });
  await changing;
  return together;
}

export const mounts: readonly Attempt[] = [
  target('CVE-2026-55686', 'a mount target below a link to the host', '/out/inner', (host) => ({
    out: host,
  })),
  target(
    'CVE-2024-9341',
    'a mount target that is a link to the host',
    '/deep/inner',
    (host) => ({ 'deep/inner': host }),
    '',
  ),
  target('S-P-1', 'a mount target through a chain of links', '/a/inner', (host) => ({
    ...{ a: 'b', b: 'c/d', 'c/d': `../../../../../../../../../..${host}` },
  })),
  target('S-P-1', 'a mount target through /proc/self/root', '/door/inner', (host) => ({
    door: `/proc/self/root${host}`,
  })),
  source('CVE-2024-1753', 'a bind source that is an absolute link', 'bind', (host) => host),
  source('CVE-2024-1753', 'a bind source that climbs', 'bind', () => '../../../victim'),
  source('CVE-2024-9675', 'what a cache begins with, by an absolute link', 'cache', (host) => host),
  source('CVE-2024-9675', 'what a cache begins with, by one that climbs', 'cache', () => '../../../victim'),
  {
    row: 'CVE-2024-9675',
    what: 'the id of a cache that climbs',
    async attack(lab) {
      const id = `../../../../../../../..${lab.folder}/made`;
      await lab.run('true', { op: { mounts: [{ ...cacheMount, target: '/m', id }] } });
      return existsSync(join(lab.folder, 'made'));
    },
    weakened(lab) {
      const id = `../../../../../../../..${lab.folder}/made`;
      mkdirSync(join(lab.store, 'cache-mounts', id), { recursive: true });
      return existsSync(join(lab.folder, 'made'));
    },
  },
  workingDirectory('a descriptor', '/proc/self/fd/7'),
  workingDirectory('a descriptor by its name in /dev', '/dev/fd/7'),
  workingDirectory('a link of the image to a descriptor', '/way/fd/7', { image: { way: '/proc/self' } }),
  workingDirectory('a link of the context to a descriptor', '/context/door', {
    context: { door: '/proc/self/fd/7' },
  }),
  workingDirectory('a chain of links through image and context', '/one/two', {
    image: { one: '/context/sub' },
    context: { 'sub/two': '../../dev/fd/7' },
  }),
  {
    row: 'CVE-2024-21626',
    what: 'start below a shared cache while another step changes it',
    attack: (lab) => besideACache(lab, { cwd: '/cache/sub' }),
    weakened: (lab) => besideACache(lab, { cwd: '/cache' }),
  },
  {
    row: 'CVE-2024-23651',
    what: 'mount into a shared cache while another step changes it',
    attack: (lab) => besideACache(lab, { mounts: [{ type: 'tmpfs', target: '/cache/sub' }] }),
    weakened: (lab) => besideACache(lab, { mounts: [{ type: 'tmpfs', target: '/elsewhere' }] }),
  },
  {
    row: 'CVE-2024-9407',
    what: 'write to a context that is bound read-only',
    async attack(lab) {
      const context = victim(lab);
      const op = { mounts: [{ ...bindMount, target: '/m' }] };
      await lab.run('touch /m/made', { op, binds: bindOf(context) });
      return isHarmed(context);
    },
    weakened: 'mounts',
  },
  {
    row: 'CVE-2024-11218',
    what: 'write to a context that is bound to be written to, and thrown away',
    async attack(lab) {
      const context = victim(lab);
      const op = { mounts: [{ ...bindMount, target: '/m', readonly: false }] };
      await lab.run('touch /m/made && rm /m/own', { op, binds: bindOf(context) });
      return isHarmed(context);
    },
    weakened(lab) {
      const context = victim(lab);
      made(join(lab.folder, 'm'));
      const bound = inOwnMounts('mount --bind "$1" "$2" && : >"$2/made"', context, join(lab.folder, 'm'));
      return bound && isHarmed(context);
    },
  },
  {
    row: 'CVE-2024-45310',
    what: 'make a mount point in a cache, through a link to what the runtime has open',
    async attack(lab) {
      const context = victim(lab);
      const cache: StepMount = { ...cacheMount, target: '/cache', id: 'doors' };
      const doors = Array.from({ length: 12 }, (_, index) => 4 + index);
      await lab.run(doors.map((fd) => `ln -s /proc/self/fd/${fd} /cache/door${fd}`).join(';'), {
        op: { mounts: [cache] },
      });
      const later: StepMount = { ...bindMount, target: '/later/than/all/others' };
      for (const fd of doors) {
        const inner: StepMount = { type: 'tmpfs', target: `/cache/door${fd}/made` };
        await lab
          .run('true', { op: { mounts: [later, cache, inner] }, binds: bindOf(context) })
          .catch(() => {});
      }
      return isHarmed(context);
    },
    weakened(lab) {
      const context = victim(lab);
      made(join(lab.folder, 'cache'), { door: '/proc/self/fd/7' });
      inOwnMounts('exec 7<"$1" && mkdir "$2/cache/door/made"', context, lab.folder);
      return isHarmed(context);
    },
  },
];
