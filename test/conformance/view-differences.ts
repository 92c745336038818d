/**
 * Where what a step of tsbuild sees differs from what one of BuildKit sees, and why. Each row says exactly how: a line that is still
 * different then fails the view, and so does a row that is true of no view any more.
 */
export type ViewDifference = {
  /** undefined: of all ours. */
  readonly runtime?: 'runc' | 'embedded';
  readonly reason: string;
  /** True with the versions that some hosts have. */
  readonly sometimes?: true;
} & (
  | { readonly instead: RegExp; readonly ours: string }
  /** Lines that only ours has, or only theirs. */
  | { readonly added: RegExp }
  | { readonly missing: RegExp }
);

const laterCalls = /^call (x64|x86|x32) (335|449|4[56]\d): /;

export const viewDifferences: readonly ViewDifference[] = [
  {
    instead: /^(mount \/(?:mounted\/bind-rw)?: overlay .*upperdir=…,workdir=…,)(uuid=on)/,
    ours: '$1redirect_dir=nofollow,$2,fsync=volatile',
    reason:
      'the upper directory of a step is a plain diff that no crash needs to survive: the options of its overlay say so',
  },
  {
    instead: /^(mount .*) master \(/,
    ours: '$1 (',
    reason:
      'what is bound into a step is private: with BuildKit mounts that its daemon makes there later would appear in it',
  },
  {
    missing: /^(path|writable:) \/proc\/interrupts\b/,
    reason:
      'S-SB-5: /proc/interrupts is masked, as in containers of Podman and Docker: it tells what others on the host do',
  },
  {
    added: /^(mount \/proc\/interrupts: |path \/proc\/interrupts: crw-rw-rw- 0:0 rw device$)/,
    reason: 'S-SB-5: the mask of /proc/interrupts',
  },
  {
    instead: /^(mount \/(?:mounted\/secret|run\/secrets\/word): .*)\(rw\)/,
    ours: '$1(rw,mode=700)',
    reason: 'secrets lie in a memory filesystem that no other user can look into, also while it is prepared',
  },
  {
    instead: /^(mount \/mounted\/cache-owned): overlay .* rw,relatime .*/,
    ours: '$1: disk from … root … rw,relatime (…)',
    reason:
      'a cache mount with an owner is a directory as any other cache mount; BuildKit stacks it on an empty one of that owner',
  },
  {
    instead: /^mount \/dev\/shm: tmpfs from tmpfs root \/ rw,nosuid,relatime (?=\(rw,size=17408k\))/,
    ours: 'mount /dev/shm: tmpfs from shm root / rw,nosuid,nodev,noexec,relatime ',
    reason:
      'S-SB-7: /dev/shm keeps its options with another size; BuildKit mounts another filesystem over it, which allows devices and programs',
  },
  {
    instead: /^(mknod \/dev\/shm (?:full|null|tun|zero)): made yes, opened yes/,
    ours: '$1: made yes, opened no',
    reason: 'S-SB-7: devices in a /dev/shm of another size: its options, as above',
  },
  {
    runtime: 'runc',
    sometimes: true,
    instead:
      /^(mount \/(?:proc\/acpi|sys\/firmware): tmpfs from tmpfs root \/ ro,relatime) \(ro,size=4k,nr_inodes=1\)/,
    ours: '$1 (ro)',
    reason: "a masked directory is the runtime's: runc before 1.2 does not say how small it is",
  },
  {
    runtime: 'runc',
    sometimes: true,
    missing: laterCalls,
    reason:
      "calls that are younger than the host's libseccomp are unknown to runc: it answers all of them with ENOSYS, or EPERM",
  },
  {
    runtime: 'runc',
    sometimes: true,
    added: laterCalls,
    reason: "calls that are younger than the host's libseccomp, as above",
  },
  {
    runtime: 'embedded',
    instead: /^(mount (?:\/|\/dev|\/mounted\/\S+): .* r[ow](?:,nosuid)?)((?:,relatime)? \()/,
    ours: '$1,nodev$2',
    reason:
      'no device cgroup guards a step of the embedded runtime: what it can write to holds no device that works',
  },
  {
    runtime: 'embedded',
    instead: /^(mknod \/tmp (?:full|null|tun|zero)): made yes, opened yes/,
    ours: '$1: made yes, opened no',
    reason: 'devices that a step of the embedded runtime makes do not work, as above; those of /dev do',
  },
  {
    runtime: 'embedded',
    added:
      /^mount \/dev\/(full|null|random|tty|urandom|zero): disk from … root … ro,nosuid,noexec,relatime \(…\)$/,
    reason:
      'the devices of the embedded runtime are those of the host, as a user namespace allows no others; read-only, so that their mode and owner stay',
  },
  {
    runtime: 'embedded',
    instead: /^(mount \/proc\/(?:keys|timer_list)): tmpfs from tmpfs root \/null .*/,
    ours: '$1: disk from … root … ro,nosuid,noexec,relatime (…)',
    reason: 'files are masked with /dev/null, which is that of the host, as above',
  },
  {
    runtime: 'embedded',
    missing: /^(cgroups shown: \w+$|mount \/sys\/fs\/cgroup(\/\w+)?: |size \/sys\/fs\/cgroup: )/,
    sometimes: true,
    reason:
      'a step of the embedded runtime without limits has no cgroup of its own, and is not shown those of tsbuild (hierarchy v1 has no namespaces)',
  },
];

export interface ViewComparison {
  /** What no row explains: `- ` the peer's, `+ ` ours. */
  readonly lines: readonly string[];
  readonly accepted: readonly ViewDifference[];
}

export function compareViews(views: {
  readonly runtime: string;
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
}): ViewComparison {
  const accepted = new Set<ViewDifference>();
  const rows = viewDifferences.filter((row) => row.runtime === undefined || row.runtime === views.runtime);
  const ours = numbered(views.ours);
  const known = new Set(ours);
  const theirs = numbered(
    views.theirs.map((line) => (known.has(line) ? line : rewritten(line, rows, accepted))),
  );
  const unexplained = (
    key: 'added' | 'missing',
    some: readonly string[],
    others: ReadonlySet<string>,
  ): string[] =>
    some.filter((line) => {
      if (others.has(line)) return false;
      const row = rows.find((difference) =>
        (difference as Partial<Record<typeof key, RegExp>>)[key]?.test(line),
      );
      if (row !== undefined) accepted.add(row);
      return row === undefined;
    });
  return {
    lines: [
      ...unexplained('missing', theirs, known).map((line) => `- ${line}`),
      ...unexplained('added', ours, new Set(theirs)).map((line) => `+ ${line}`),
    ],
    accepted: [...accepted],
  };
}

/** Rows that were true of no view. */
export function idleDifferences(accepted: ReadonlySet<ViewDifference>): string[] {
  return viewDifferences
    .filter((row) => row.sometimes !== true && !accepted.has(row))
    .map((row) => `! true of no view: ${row.reason}`);
}

/** What ours would be, were the rows all that differs. */
function rewritten(line: string, rows: readonly ViewDifference[], accepted: Set<ViewDifference>): string {
  let text = line;
  for (const row of rows) {
    if (!('instead' in row) || !row.instead.test(text)) continue;
    text = text.replace(row.instead, row.ours);
    accepted.add(row);
  }
  return text;
}

/** A line that is there again gets a number, so that sets can be compared. */
function numbered(lines: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return lines.map((line) => {
    const count = (seen.get(line) ?? 0) + 1;
    seen.set(line, count);
    return count === 1 ? line : `${line} (${count})`;
  });
}
