import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * What tsbuild itself writes below a directory, by paths relative to it: the store, where it is kept there (as CI systems ask for what they shall
 * keep), and the log of this process, as in `tsbuild . >build.log`. Both change while they are read, and have no part in what is built.
 * Neither `directory` nor `store` has a link in its path. Logs are not known where the system does not tell them (other than Linux).
 */
export function ownOutputs(directory: string, store?: string): ReadonlySet<string> {
  const found = new Set<string>();
  const prefix = directory === '/' ? '/' : `${directory}/`;
  if (store?.startsWith(prefix) === true) found.add(store.slice(prefix.length));
  for (const fd of list('/proc/self/fd')) {
    const path = targetOf(`/proc/self/fd/${fd}`);
    if (path?.startsWith(prefix) === true && isWritten(fd)) found.add(path.slice(prefix.length));
  }
  return found;
}

function list(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link);
  } catch {
    // That of the listing itself is gone.
    return undefined;
  }
}

/** proc(5): `flags` are those of open(2), octal; the two low bits say reading, writing, or both. */
function isWritten(fd: string): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
    return (Number.parseInt(flags, 8) & 3) !== 0;
  } catch {
    return false;
  }
}
