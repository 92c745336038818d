import { spawn } from 'node:child_process';
import { binary } from './paths.ts';

export interface CommandOptions {
  readonly cwd?: string | undefined;
  /** Added to this process's environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly input?: string | Uint8Array | undefined;
  /** Called with the process's id; `input` is sent when it has resolved. */
  readonly started?: ((pid: number) => Promise<void>) | undefined;
  /** Sends the signal this many milliseconds after `until` (a text on stderr or stdout) was seen. */
  readonly kill?:
    | { readonly signal: NodeJS.Signals; readonly until: string | RegExp; readonly group?: boolean }
    | undefined;
  /** Milliseconds until SIGKILL; default 170 s, just below the test's own limit. */
  readonly timeout?: number | undefined;
}

export interface CommandResult {
  /** 128 + n when signal n ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdoutBytes: Buffer;
}

const signalNumbers: Readonly<Record<string, number>> = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** Runs a program to its end; a status other than 0 is no exception. */
export function command(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: environment(options.env),
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      timeout: options.timeout ?? 170_000,
      killSignal: 'SIGKILL',
      detached: options.kill?.group === true,
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let killed = false;
    const watch = (): void => {
      const { kill } = options;
      if (kill === undefined || killed) return;
      const text = Buffer.concat([...out, ...err]).toString();
      if (typeof kill.until === 'string' ? !text.includes(kill.until) : !kill.until.test(text)) return;
      killed = true;
      if (kill.group === true && child.pid !== undefined) process.kill(-child.pid, kill.signal);
      else child.kill(kill.signal);
    };
    child.stdout?.on('data', (data: Buffer) => {
      out.push(data);
      watch();
    });
    child.stderr?.on('data', (data: Buffer) => {
      err.push(data);
      watch();
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const stdoutBytes = Buffer.concat(out);
      resolve({
        code: code ?? 128 + (signalNumbers[signal ?? ''] ?? 0),
        stdout: stdoutBytes.toString(),
        stderr: Buffer.concat(err).toString(),
        stdoutBytes,
      });
    });
    const { stdin } = child;
    stdin?.on('error', () => undefined);
    Promise.resolve(options.started?.(child.pid ?? 0)).then(() => stdin?.end(options.input), reject);
  });
}

/** Runs the built command; a status other than 0 is no exception. */
export function tsbuild(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return command(process.execPath, [binary, ...args], options);
}

/** Runs a program that must succeed, and returns its stdout. The error shows all that it said. */
export async function must(result: Promise<CommandResult>): Promise<string> {
  const { code, stdout, stderr } = await result;
  if (code !== 0) throw new Error(`ended with status ${code}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`);
  return stdout;
}

function environment(changes: CommandOptions['env']): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  // A test's result must not depend on what the caller's shell happens to set.
  for (const name of [
    'SOURCE_DATE_EPOCH',
    'DOCKER_DEFAULT_PLATFORM',
    'BUILDKIT_PROGRESS',
    'FORCE_COLOR',
    'NODE_OPTIONS',
  ]) {
    delete env[name];
  }
  // Vitest's own marks would change what programs do that look at them.
  for (const name of ['VITEST', 'NODE_ENV', 'TEST', 'VITEST_POOL_ID', 'VITEST_WORKER_ID']) delete env[name];
  for (const [name, value] of Object.entries(changes ?? {})) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  return env;
}
