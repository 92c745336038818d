import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { command, must } from '../support/cli.ts';
import { projectRoot } from '../support/paths.ts';
import { requireTool } from '../support/require.ts';

const casesFolder = join(projectRoot, 'test/conformance/cases');

/** One folder of test/conformance/cases; README.md there says what is in it. */
export interface Case {
  readonly name: string;
  /** Whose result is the right one; `golden`: golden/conformance/<name>.txt, written by hand from the rows. */
  readonly peer: 'docker' | 'buildah' | 'golden';
  /** Why the peer is not docker. */
  readonly reason: string | undefined;
  /** Arguments of each builder, docker's spelling. `$CONTEXT` and `$URL` (the loopback server) stand for what they are here. */
  readonly args: readonly string[];
  /** Arguments of builds that come before it, for images that it is made FROM. */
  readonly before: readonly (readonly string[])[];
  /** The oldest major version of the peer (minor, of buildah 1) that has all it uses; an older one is replaced by the stored result. */
  readonly since: number;
  /** The base images it is made from or copies of. */
  readonly bases: readonly ('busybox' | 'debian')[];
}

const keys = ['peer', 'reason', 'args', 'before', 'since', 'bases'];

/** All cases, sorted by name. Throws where a case.json is not as README.md says. */
export function readCases(): Case[] {
  return readdirSync(casesFolder)
    .toSorted()
    .map((name) => {
      const file = join(casesFolder, name, 'case.json');
      const json = JSON.parse(readFileSync(file, 'utf8')) as Partial<Case>;
      const unknown = Object.keys(json).filter((key) => !keys.includes(key));
      if (unknown.length > 0) throw new Error(`${file}: unknown ${unknown.join(', ')}`);
      const { peer, reason, args = [], before = [], since = 0, bases = ['busybox'] } = json;
      if (peer !== 'docker' && peer !== 'buildah' && peer !== 'golden')
        throw new Error(`${file}: which peer?`);
      if (peer !== 'docker' && reason === undefined) throw new Error(`${file}: why not docker?`);
      return { name, peer, reason, args, before, since, bases };
    });
}

/**
 * Copies a case below `folder` and runs its setup.sh there: what git cannot keep (modes, links, capabilities, archives).
 * Then whatever is new is 1000000000 seconds old by its mtime, so that a result shows what kept its time.
 */
export async function prepareCase(name: string, folder: string): Promise<string> {
  const context = join(folder, name);
  mkdirSync(folder, { recursive: true });
  cpSync(join(casesFolder, name), context, { recursive: true });
  rmSync(join(context, 'case.json'));
  await must(command('chmod', ['-R', 'u=rwX,go=rX', context]));
  if (existsSync(join(context, 'setup.sh'))) {
    const script = `umask 022; ${requireTool('sh')} -eu setup.sh`;
    const env = { BUSYBOX: requireTool('busybox'), NODE: process.execPath };
    await must(command('sh', ['-c', script], { cwd: context, env }));
    rmSync(join(context, 'setup.sh'));
  }
  const old = ['-newermt', '2020-01-01', '-exec', 'touch', '-h', '-d', '@1000000000', '{}', '+'];
  await must(command('find', ['.', '-depth', ...old], { cwd: context }));
  return context;
}
