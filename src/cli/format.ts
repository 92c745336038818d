/** Numbers and names as people read them. */

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal units with three digits, as docker prints sizes: 999B, 12.3MB. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : Number(value.toPrecision(3))}${units[unit]}`;
}

/** Milliseconds as `4.2s`. */
export function formatSeconds(milliseconds: number): string {
  return `${(Math.max(0, milliseconds) / 1000).toFixed(1)}s`;
}

const steps: readonly (readonly [string, number])[] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['week', 7 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

/** How long ago an RFC 3339 time was, as `3 weeks ago`; `N/A` for a time that is none. `now` in milliseconds. */
export function formatAgo(time: string | undefined, now: number): string {
  const then = time === undefined ? Number.NaN : Date.parse(time);
  if (Number.isNaN(then)) return 'N/A';
  const seconds = Math.floor((now - then) / 1000);
  for (const [word, length] of steps) {
    const count = Math.floor(seconds / length);
    // Docker changes the unit at two of it: 47 hours, then 2 days.
    if (count >= 2 || (count === 1 && length <= 60)) return `${count} ${word}${count === 1 ? '' : 's'} ago`;
  }
  return 'just now';
}

/** A canonical name as docker shows it: without `docker.io/` and `library/`. */
export function familiarName(name: string): string {
  const match = /^docker\.io\/(?:library\/(?=[^/]+$))?(.+)$/.exec(name);
  return match?.[1] ?? name;
}

/** A canonical name's repository and tag or digest. */
export function splitName(name: string): { readonly repository: string; readonly tag: string | undefined } {
  const bare = name.replace(/@.*$/, '');
  const colon = bare.lastIndexOf(':');
  return colon > bare.lastIndexOf('/')
    ? { repository: bare.slice(0, colon), tag: bare.slice(colon + 1) }
    : { repository: bare, tag: undefined };
}

/** The first twelve hex digits of a digest: docker's short id. */
export function shortId(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}

/** Rows as columns, each as wide as its widest cell, three blanks apart. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, cell.length)));
  }
  const lines = rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('   ')
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join('');
}
