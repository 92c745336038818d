import { BuildError } from '../util/build-error.ts';
import type { BuildOutcome, Diagnostic, Emit, ProgressEvent } from '../index.ts';
import { hasColor } from './context.ts';
import type { CliContext } from './context.ts';
import { LogTail } from './log-tail.ts';
import { reportDiagnostics, reportFailedLogs } from './report.ts';
import type { LogFile } from './render/log-file.ts';
import type { Renderer } from './render/renderer.ts';
import { parseChoice } from './values.ts';
import { keepHeapSmall } from './small-heap.ts';

export type ProgressMode = 'auto' | 'plain' | 'tty' | 'quiet' | 'rawjson' | 'none';

/** Lines of a failed step's output that are repeated in the report. */
const tailLines = 20;

export interface ProgressSettings {
  readonly mode: Exclude<ProgressMode, 'auto'>;
  readonly debug: boolean;
  /** A file that gets all that steps say, as `plain` shows it. */
  readonly logfile?: string | undefined;
}

/**
 * The mode to use: the flag, else BUILDKIT_PROGRESS, else `tty` on a terminal that is not dumb and `plain` elsewhere (U-1).
 * Throws USAGE for `tty` without a terminal, and for -q with a mode that shows something.
 */
export function chooseProgress(
  flags: { readonly progress?: ProgressMode | undefined; readonly quiet?: boolean | undefined },
  context: CliContext,
): Exclude<ProgressMode, 'auto'> {
  const given = flags.progress ?? 'auto';
  if (flags.quiet === true) {
    if (given === 'auto' || given === 'quiet') return 'quiet';
    throw new BuildError('USAGE', `\`-q\` and \`--progress=${given}\` exclude each other`);
  }
  const fromEnv = context.env['BUILDKIT_PROGRESS'] ?? '';
  const mode =
    given !== 'auto' || fromEnv === ''
      ? given
      : parseChoice<ProgressMode>(fromEnv, 'BUILDKIT_PROGRESS', [
          'auto',
          'plain',
          'tty',
          'quiet',
          'rawjson',
          'none',
        ]);
  const terminal = context.stderr.isTTY === true;
  if (mode === 'tty' && !terminal) {
    throw new BuildError('USAGE', '`--progress=tty` needs a terminal on stderr', {
      hint: 'use --progress=plain',
    });
  }
  // A dumb terminal has no cursor to move.
  const redraws = terminal && context.env['TERM'] !== 'dumb';
  return mode === 'auto' ? (redraws ? 'tty' : 'plain') : mode;
}

/**
 * Runs `work` with its events shown on stderr; at the end the warnings, and the logs of what failed. `end` is for work that needs the
 * terminal for itself before it is over: what has to be said is said then, and nothing after it.
 */
export async function withProgress<T>(
  settings: ProgressSettings,
  context: CliContext,
  work: (emit: Emit, end: (outcome: BuildOutcome) => void) => Promise<T>,
): Promise<T> {
  const color = hasColor(context.stderr, context.env);
  const tail = new LogTail({ limit: tailLines, color });
  const diagnostics: Diagnostic[] = [];
  let begun = false;
  let passed = 0;
  const file = settings.logfile === undefined ? undefined : await openLogFile(settings.logfile);
  const shown = await openRenderer(settings.mode, context, file?.write);
  let ended = false;
  const emit = (event: ProgressEvent): void => {
    if (ended) return;
    passed = boundMemory(passed, event);
    shown.renderer?.onEvent(event);
    shown.copy?.onEvent(event);
    begun ||= event.type === 'vertex';
    tail.onEvent(event);
    if (event.type === 'diagnostic') diagnostics.push(event.diagnostic);
  };
  const finish = (outcome: BuildOutcome): void => {
    if (ended) return;
    ended = true;
    shown.stop();
    shown.renderer?.finish(outcome);
    shown.copy?.finish(outcome);
    if (!outcome.ok) file?.write(`\nerror[${outcome.error.code}]: ${outcome.error.message}\n`);
    const lost = file?.close();
    if (lost !== undefined) diagnostics.push(lost);
    const asText = settings.mode === 'plain' || settings.mode === 'tty';
    const logs =
      !outcome.ok && (asText || settings.mode === 'quiet') ? reportFailedLogs(tail.failed(), color) : '';
    const list = asText ? reportDiagnostics(diagnostics, { color, debug: settings.debug }) : '';
    // What is said at the end stands apart from the steps; the error of a failed build follows.
    const apart = asText && begun && (!outcome.ok || list !== '') ? '\n' : '';
    const after = !outcome.ok && list !== '' ? '\n' : '';
    const text = apart + logs + list + after;
    if (text !== '') context.stderr.write(text);
  };
  try {
    const result = await work(emit, finish);
    finish({ ok: true });
    return result;
  } catch (error) {
    finish({
      ok: false,
      error: error instanceof BuildError ? error : new BuildError('INTERNAL', String(error)),
    });
    throw error;
  }
}

/** Loaded for those who ask. Throws OUTPUT_FAILED. */
async function openLogFile(path: string): Promise<LogFile> {
  return (await import('./render/log-file.ts')).openLogFile(path);
}

/** Of a log or a blob, in bytes. */
const MUCH = 16 << 20;

/** Returns how many bytes there were so far. */
function boundMemory(before: number, event: ProgressEvent): number {
  let passed = before;
  if (event.type === 'log') passed += event.data.length;
  if (event.type === 'transfer') passed = Math.max(passed, event.current);
  if (before < MUCH && passed >= MUCH) keepHeapSmall();
  return passed;
}

interface Shown {
  readonly renderer: Renderer | undefined;
  /** Writes the log file, where `renderer` does not. */
  readonly copy?: Renderer | undefined;
  readonly stop: () => void;
}

// Renderers are loaded when they are chosen.
async function openRenderer(
  mode: Exclude<ProgressMode, 'auto'>,
  context: CliContext,
  writeLog: ((text: string) => void) | undefined,
): Promise<Shown> {
  // One text for both, where the file would have the same: a log may have a gigabyte.
  const isSame = mode === 'plain' && !hasColor(context.stderr, context.env);
  if (isSame) return openPlain(context, writeLog);
  const copy = writeLog === undefined ? undefined : await plainCopy(writeLog);
  return { ...(await openOther(mode, context)), copy };
}

async function plainCopy(write: (text: string) => void): Promise<Renderer> {
  const { PlainRenderer } = await import('./render/plain.ts');
  return new PlainRenderer(write, { color: false });
}

async function openOther(mode: Exclude<ProgressMode, 'auto'>, context: CliContext): Promise<Shown> {
  if (mode === 'plain') return openPlain(context);
  if (mode === 'tty') return openTty(context);
  if (mode !== 'rawjson') return { renderer: undefined, stop: () => undefined };
  const { JsonRenderer } = await import('./render/json.ts');
  return {
    renderer: new JsonRenderer((text) => void context.stderr.write(text)),
    stop: () => undefined,
  };
}

async function openPlain(
  { stderr, env }: CliContext,
  writeLog: (text: string) => void = () => {},
): Promise<Shown> {
  const { PlainRenderer } = await import('./render/plain.ts');
  const write = (text: string): void => {
    stderr.write(text);
    writeLog(text);
  };
  const renderer = new PlainRenderer(write, { color: hasColor(stderr, env) });
  const timer = setInterval(() => renderer.tick(Date.now()), 1000).unref();
  return { renderer, stop: () => clearInterval(timer) };
}

async function openTty({ stderr, env }: CliContext): Promise<Shown> {
  const { TtyRenderer } = await import('./render/tty.ts');
  // A terminal that does not know its size says 0.
  const screen = {
    write: (text: string): void => void stderr.write(text),
    color: hasColor(stderr, env),
    get columns(): number {
      return stderr.columns || 80;
    },
    get rows(): number {
      return stderr.rows || 24;
    },
  };
  const renderer = new TtyRenderer(screen, {
    logLines: positive(env['BUILDKIT_TTY_LOG_LINES']),
    colors: env['BUILDKIT_COLORS'],
  });
  const draw = (): void => renderer.draw();
  const timer = setInterval(draw, positive(env['TTY_DISPLAY_RATE']) ?? 100).unref();
  stderr.on('resize', draw);
  const stop = (): void => {
    clearInterval(timer);
    stderr.removeListener('resize', draw);
  };
  return { renderer, stop };
}

function positive(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,4}$/.test(text) ? Number(text) : undefined;
}
