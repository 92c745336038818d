import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as library from '../../src/index.ts';
import type { CheckResult, Diagnostic } from '../../src/index.ts';
import type { CliResult } from '../cli/fake-context.ts';
import { runCli } from '../cli/fake-context.ts';
import { tempFolder } from '../support/temp.ts';
import { place } from './dump.ts';

/** A store with the bases `known`, which sets KNOWN, and `shelled`, which has a SHELL; and contexts to check. */
export interface CheckStore extends AsyncDisposable {
  readonly root: string;
  /** A new context with this Dockerfile. Returns its folder. */
  contextOf(text: string | Buffer, ignore?: string): string;
  check(text: string, options?: CheckOptions): Promise<CheckResult>;
  /** The command, with this store. */
  run(argv: readonly string[], input?: string): Promise<CliResult>;
}

export interface CheckOptions extends Partial<library.BuildOptions> {
  readonly ignore?: string | undefined;
  readonly fix?: boolean | undefined;
}

export async function checkStore(): Promise<CheckStore> {
  const work = await tempFolder('checks');
  const root = join(work.path, 'store');
  let number = 0;
  const contextOf = (text: string | Buffer, ignore?: string): string => {
    const context = join(work.path, `context-${(number += 1)}`);
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), text);
    if (ignore !== undefined) writeFileSync(join(context, '.dockerignore'), ignore);
    return context;
  };
  for (const [tag, text] of [
    ['known', 'FROM scratch\nENV KNOWN=1\n'],
    ['shelled', 'FROM scratch\nSHELL ["/bin/bash", "-c"]\n'],
    ['triggering', 'FROM scratch\nONBUILD LABEL a=$b\nONBUILD LABEL c=$d\n'],
  ] as const) {
    await library.build({ root, env: {}, context: contextOf(text), tags: [tag], platform: 'linux/amd64' });
  }
  return {
    root,
    contextOf,
    check: (text, { ignore, ...options } = {}) =>
      library.check({ root, env: {}, context: contextOf(text, ignore), platform: 'linux/amd64', ...options }),
    run: (argv, input) =>
      runCli(['--root', root, ...argv], { library, ...(input === undefined ? {} : { input }) }),
    [Symbol.asyncDispose]: () => work[Symbol.asyncDispose](),
  };
}

/** A finding in one line. */
export const findingLine = ({ rule, message, source, hint }: Diagnostic): string =>
  `${rule} ${source === undefined ? '-' : place(source.range)} ${message}${hint === undefined ? '' : ` | ${hint}`}\n`;
