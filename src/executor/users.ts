import { BuildError } from '../util/build-error.ts';
import type { RootTree } from './root-tree.ts';

/** Who a step runs as. */
export interface StepUser {
  readonly uid: number;
  readonly gid: number;
  /** The primary group stands first: without it a process could drop to fewer rights than its group has (CVE-2022-36109). */
  readonly additionalGids: readonly number[];
  /** '/' where passwd does not say. */
  readonly home: string;
}

const MAX_ID = 2 ** 31 - 1;
/** S-P-5 */
const MAX_FILE = 10 * 1024 * 1024;

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/**
 * Resolves USER against the files of the root filesystem (L-USER-1). '' is root. A name that is not there is USER_UNKNOWN, so
 * is a number outside 0 to 2^31-1 (CVE-2024-40635). With an explicit group there are no supplementary ones.
 */
export function resolveUser(tree: RootTree, user: string): StepUser {
  const colon = user.indexOf(':');
  const userPart = (colon < 0 ? user : user.slice(0, colon)) || '0';
  const groupPart = colon < 0 ? '' : user.slice(colon + 1);
  const number = idOf(userPart);
  const known = readPasswd(tree).find((entry) =>
    number === undefined ? entry.name === userPart : entry.uid === number,
  );
  if (known === undefined && number === undefined) throw unknown('user', userPart, '/etc/passwd');
  const uid = number ?? known?.uid ?? 0;
  const home = known?.home || '/';
  if (groupPart !== '') {
    const gid = resolveGroup(tree, groupPart);
    return { uid, gid, additionalGids: [gid], home };
  }
  const gid = known?.gid ?? 0;
  const name = known?.name;
  const groups = name === undefined ? [] : readGroup(tree).filter((group) => group.members.includes(name));
  return { uid, gid, additionalGids: [...new Set([gid, ...groups.map((group) => group.gid)])], home };
}

function resolveGroup(tree: RootTree, group: string): number {
  const number = idOf(group);
  if (number !== undefined) return number;
  const known = readGroup(tree).find((entry) => entry.name === group);
  if (known === undefined) throw unknown('group', group, '/etc/group');
  return known.gid;
}

/** A decimal id; undefined for a name. */
function idOf(text: string): number | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined;
  const id = Number(text);
  if (id > MAX_ID)
    throw new BuildError('USER_UNKNOWN', `${text} is no user or group id: the highest is ${MAX_ID}`);
  return id;
}

function unknown(kind: string, name: string, file: string): BuildError {
  return new BuildError('USER_UNKNOWN', `${kind} \`${name}\` is not in ${file} of the image`, {
    hint: `add it with useradd or groupadd in a RUN before, or write the number`,
  });
}

function readPasswd(tree: RootTree): PasswdEntry[] {
  return rows(tree, '/etc/passwd').flatMap(([name = '', , uid, gid, , home = '']) => {
    const ids = { uid: validId(uid), gid: validId(gid) };
    return ids.uid === undefined || ids.gid === undefined || name === ''
      ? []
      : [
          {
            name,
            uid: ids.uid,
            gid: ids.gid,
            home: home.startsWith('/') && !home.includes('\0') ? home : '/',
          },
        ];
  });
}

function readGroup(tree: RootTree): GroupEntry[] {
  return rows(tree, '/etc/group').flatMap(([name = '', , text, members = '']) => {
    const gid = validId(text);
    return gid === undefined || name === '' ? [] : [{ name, gid, members: members.split(',') }];
  });
}

function validId(text: string | undefined): number | undefined {
  if (text === undefined || !/^[0-9]{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id <= MAX_ID ? id : undefined;
}

function rows(tree: RootTree, path: string): string[][] {
  let content: Buffer | undefined;
  try {
    content = tree.readFile(path, MAX_FILE);
  } catch (error) {
    if (error instanceof RangeError)
      throw new BuildError('USER_UNKNOWN', `${path} of the image is too large`, { cause: error });
    throw error;
  }
  return (content?.toString('utf8') ?? '').split('\n').map((line) => line.split(':'));
}
