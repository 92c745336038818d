import { execFileSync } from 'node:child_process';
import { chownSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import type { CommandOptions, CommandResult } from './cli.ts';
import { command } from './cli.ts';
import { binary } from './paths.ts';
import type { TempFolder } from './temp.ts';
import { tempFolder } from './temp.ts';

/** An ordinary user of this machine, made for a test: no groups, no rights. */
export interface TestUser extends AsyncDisposable {
  readonly name: string;
  readonly uid: number;
  /** Its home, and a place for its stores. */
  readonly home: string;
  /** A command line that starts what follows as this user. */
  readonly become: readonly string[];
  /** Runs a program as this user, in its home, with a new environment. */
  readonly run: (
    program: string,
    args: readonly string[],
    options?: CommandOptions,
  ) => Promise<CommandResult>;
  /** Runs the built command. */
  readonly tsbuild: (args: readonly string[], options?: CommandOptions) => Promise<CommandResult>;
}

/** Makes a user, with the usual 65536 subordinate ids or with none. Needs root; disposing removes it with all it has. */
export async function makeUser(ids: 'subordinate' | 'none'): Promise<TestUser> {
  const name = `ts${randomBytes(4).toString('hex')}`;
  const home: TempFolder = await tempFolder('user');
  changeUsers(
    // useradd gives subordinate ids or none, as the machine's login.defs says. The range is this test's own.
    `useradd --no-create-home --home-dir "$1" --shell /bin/sh "$2"
    sed -i "/^$2:/d" /etc/subuid /etc/subgid
    if [ "$3" = subordinate ]; then
      for file in /etc/subuid /etc/subgid; do echo "$2:$((200000000 + $(id -u "$2") * 65536)):65536" >>$file; done
    fi`,
    [home.path, name, ids],
  );
  const id = (flag: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8' }));
  const [uid, gid] = [id('-u'), id('-g')];
  chownSync(home.path, uid, gid);
  const become = ['setpriv', '--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--'];
  const run: TestUser['run'] = (program, args, options = {}) => {
    const [first = '', ...as] = [...become, program, ...args];
    const env = { HOME: home.path, USER: name, XDG_RUNTIME_DIR: undefined, ...options.env };
    return command(first, as, { cwd: home.path, ...options, env });
  };
  return {
    name,
    uid,
    home: home.path,
    become,
    run,
    tsbuild: (args, options) => run(process.execPath, [binary, ...args], options),
    async [Symbol.asyncDispose]() {
      changeUsers('userdel "$1" 2>/dev/null; sed -i "/^$1:/d" /etc/subuid /etc/subgid', [name]);
      await home[Symbol.asyncDispose]();
    },
  };
}

/** Runs a shell script that changes files which all tests share, one at a time. */
function changeUsers(script: string, args: readonly string[]): void {
  execFileSync('flock', ['/run/lock/tsbuild-test-users', 'sh', '-c', `set -e\n${script}`, 'sh', ...args]);
}
