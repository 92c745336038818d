import type { ErrorCode } from './error-codes.ts';
import { errorCodes } from './error-codes.ts';
import type { SourceLocation } from './source.ts';

export interface BuildErrorOptions {
  /** What the user can do about it; one sentence. */
  readonly hint?: string | undefined;
  /** The line of the user's file that it is about. */
  readonly source?: SourceLocation | undefined;
  /** Plain data for programs: exit code of a step, ignore line, tried names. Never a secret. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
  /** Further independent errors of the same run, in source order; the renderer prints each. */
  readonly others?: readonly BuildError[] | undefined;
}

/** The one error type for what a user can cause. Anything else that is thrown is a bug in tsbuild. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly source: SourceLocation | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly others: readonly BuildError[];

  constructor(code: ErrorCode, message: string, options: BuildErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.source = options.source;
    this.details = options.details ?? {};
    this.others = options.others ?? [];
  }

  /** The exit status of a command that ends with this error. */
  get exitStatus(): number {
    return errorCodes[this.code].exit;
  }

  /** The same error placed at a line, unless it has one already. */
  at(source: SourceLocation | undefined): BuildError {
    if (this.source !== undefined || source === undefined) return this;
    return new BuildError(this.code, this.message, { ...this.options(), source });
  }

  /** The same error with one more thing that the user can do. */
  hinted(more: string): BuildError {
    const hint = this.hint === undefined ? more : `${this.hint}; ${more}`;
    return new BuildError(this.code, this.message, { ...this.options(), hint });
  }

  private options(): BuildErrorOptions {
    return {
      hint: this.hint,
      source: this.source,
      details: this.details,
      cause: this.cause,
      others: this.others,
    };
  }
}
