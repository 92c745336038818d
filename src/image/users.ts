import { BuildError } from '../util/build-error.ts';
import { readAll } from '../util/streams.ts';
import type { Tree } from './tree.ts';

/** Who a step runs as. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; the primary one is always among them (CVE-2022-2990). */
  readonly additionalGids: readonly number[];
  /** For HOME. */
  readonly home: string;
}

/** Reads a file of the image, by absolute path; undefined when it is not there. */
export type ReadUserFile = (path: string) => Promise<string | undefined>;

const largestId = 2 ** 31 - 1;
const largestFile = 10 * 1024 * 1024;

/**
 * The owner that --chown names, `user[:group]` by name or number (L-COPY-12). A named user's group is the one in passwd, a
 * number's is the same number. Throws USER_UNKNOWN for a name that is not there, an empty part, a number above 2^31-1.
 */
export async function lookupOwner(spec: string, read: ReadUserFile): Promise<{ uid: number; gid: number }> {
  const { user, group } = split(spec);
  const number = idOf(user);
  const account = number === undefined ? await findAccount(user, read) : undefined;
  const uid = number ?? account?.uid ?? 0;
  const gid = group === undefined ? (account?.gid ?? uid) : await findGroup(group, read);
  return { uid, gid };
}

/**
 * Who USER names (L-USER-1): '' is root; a number needs no entry in passwd, and then has group 0. With an explicit group there
 * are no supplementary groups, else all that list the user. Throws USER_UNKNOWN as lookupOwner does.
 */
export async function lookupUser(spec: string, read: ReadUserFile): Promise<ResolvedUser> {
  const accounts = parsePasswd((await read('/etc/passwd')) ?? '');
  const homeOf = (uid: number): string =>
    accounts.find((account) => account.uid === uid)?.home || (uid === 0 ? '/root' : '/');
  if (spec === '') return { uid: 0, gid: 0, additionalGids: [0], home: homeOf(0) };
  const { user, group } = split(spec);
  const number = idOf(user);
  const account = accounts.find((each) => (number === undefined ? each.name === user : each.uid === number));
  if (account === undefined && number === undefined) throw unknown('user', user);
  const uid = number ?? account?.uid ?? 0;
  const home = account?.home || homeOf(uid);
  if (group !== undefined) {
    const gid = await findGroup(group, read);
    return { uid, gid, additionalGids: [gid], home };
  }
  const gid = account?.gid ?? 0;
  const additional = new Set([gid]);
  if (account !== undefined) {
    for (const each of parseGroup((await read('/etc/group')) ?? '')) {
      if (each.members.includes(account.name)) additional.add(each.gid);
    }
  }
  return { uid, gid, additionalGids: [...additional], home };
}

/**
 * Reads /etc/passwd or /etc/group of an untrusted tree (S-P-5): links stay inside it, only a regular file, at most 10 MiB.
 * undefined: not there. Throws IMAGE_INVALID for anything else, before a byte is read.
 */
export async function readUserFile(tree: Tree, path: string): Promise<string | undefined> {
  const resolved = await tree.resolve(path.replace(/^\/+/, ''));
  let entry = await tree.lstat(resolved);
  if (entry?.type === 'hardlink') entry = await tree.lstat(entry.linkTarget ?? '');
  if (entry === undefined) return undefined;
  const fail = (why: string): BuildError =>
    new BuildError('IMAGE_INVALID', `\`${path}\` of the image ${why}, so user names cannot be looked up`, {
      hint: 'give the user and the group as numbers',
      details: { path, resolved: `/${resolved}` },
    });
  if (entry.type !== 'file' || entry.content === undefined)
    throw fail(`is no regular file but a ${entry.type}`);
  if (entry.size > largestFile) throw fail('is larger than 10 MiB');
  return (await readAll(entry.content(), largestFile)).toString('utf8');
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

// Lines that do not have the form are skipped, as getpwent does; an id out of range is never taken (CVE-2024-40635).
function parsePasswd(text: string): readonly Account[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid = '', gid = '', , home = ''] = line.split(':');
    const ids = [uid, gid].map(safeId);
    if (name === '' || name.startsWith('#') || ids[0] === undefined || ids[1] === undefined) return [];
    return [{ name, uid: ids[0], gid: ids[1], home }];
  });
}

function parseGroup(
  text: string,
): readonly { readonly name: string; readonly gid: number; readonly members: readonly string[] }[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', , gid = '', members = ''] = line.split(':');
    const id = safeId(gid);
    if (name === '' || name.startsWith('#') || id === undefined) return [];
    return [{ name, gid: id, members: members.split(',').map((member) => member.trim()) }];
  });
}

function safeId(text: string): number | undefined {
  const value = Number(text);
  return /^\d{1,10}$/.test(text) && value <= largestId ? value : undefined;
}

function split(spec: string): { readonly user: string; readonly group: string | undefined } {
  const colon = spec.indexOf(':');
  const user = colon === -1 ? spec : spec.slice(0, colon);
  const group = colon === -1 ? undefined : spec.slice(colon + 1);
  if (user === '' || group === '') {
    throw new BuildError('USER_UNKNOWN', `\`${spec}\` names no ${user === '' ? 'user' : 'group'}`, {
      hint: 'write `user`, `user:group`, or numbers',
      details: { spec },
    });
  }
  return { user, group };
}

// undefined: a name.
function idOf(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const id = safeId(text.replace(/^0+(?=\d)/, ''));
  if (id === undefined) {
    throw new BuildError(
      'USER_UNKNOWN',
      `\`${text}\` is no user or group number: they go from 0 to ${largestId}`,
    );
  }
  return id;
}

async function findAccount(name: string, read: ReadUserFile): Promise<Account> {
  const account = parsePasswd((await read('/etc/passwd')) ?? '').find((each) => each.name === name);
  if (account === undefined) throw unknown('user', name);
  return account;
}

async function findGroup(spec: string, read: ReadUserFile): Promise<number> {
  const number = idOf(spec);
  if (number !== undefined) return number;
  const found = parseGroup((await read('/etc/group')) ?? '').find((each) => each.name === spec);
  if (found === undefined) throw unknown('group', spec);
  return found.gid;
}

function unknown(kind: 'user' | 'group', name: string): BuildError {
  const file = kind === 'user' ? '/etc/passwd' : '/etc/group';
  return new BuildError('USER_UNKNOWN', `there is no ${kind} \`${name}\` in ${file} of the image`, {
    hint: `create it in a step before (${kind}add), or give its number`,
    details: { [kind]: name, file },
  });
}
