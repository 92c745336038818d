import { PassThrough, Writable } from 'node:stream';
import type * as library from '../../src/index.ts';
import { main } from '../../src/cli/main.ts';
import type { Output } from '../../src/cli/context.ts';
import { BuildError } from '../../src/util/build-error.ts';

export interface CliOptions {
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly terminal?: boolean | undefined;
  /** Functions of the library that this command line may call. */
  readonly library?: Partial<typeof library> | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly input?: string | undefined;
  readonly stdoutClosed?: boolean | undefined;
}

export interface CliResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line with a library that consists of the given functions. */
export async function runCli(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const stdout = collector(options.terminal === true);
  const stderr = collector(options.terminal === true);
  const stdin = new PassThrough();
  stdin.end(options.input ?? '');
  const status = await main(argv, {
    env: options.env ?? {},
    stdin: Object.assign(stdin, {
      isTTY: options.terminal === true && options.input === undefined,
    }) as unknown as NodeJS.ReadStream,
    stdout: stdout.stream,
    stderr: stderr.stream,
    stdoutClosed: options.stdoutClosed === true,
    signal: options.signal ?? new AbortController().signal,
    library: async () => options.library as typeof library,
  });
  return { status, stdout: stdout.text(), stderr: stderr.text() };
}

function collector(isTTY: boolean): { readonly stream: Output; readonly text: () => string } {
  let text = '';
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns: 80, rows: 24 }), text: () => text };
}

export const digest: library.Digest = `sha256:${'a'.repeat(64)}`;
export const imageId: library.Digest = `sha256:${'b'.repeat(64)}`;

/** What a build of one image ends with. */
export function buildResult(changes: Partial<library.BuildResult> = {}): library.BuildResult {
  return {
    digest,
    imageId,
    descriptor: undefined,
    names: ['docker.io/library/x:latest'],
    diagnostics: [],
    steps: { cached: 0, run: 1 },
    metadata: { 'containerimage.digest': digest },
    ...changes,
  };
}

/** The options that a build's command line hands to the library. Throws its usage error. */
export async function parsedBuild(
  argv: readonly string[],
  options: CliOptions = {},
): Promise<library.BuildOptions> {
  let seen: library.BuildOptions | undefined;
  const { stderr } = await runCli(argv, {
    ...options,
    library: {
      build: async (given) => {
        seen = given;
        return buildResult();
      },
    },
  });
  if (seen === undefined) throw new BuildError('USAGE', stderr);
  return seen;
}
