import type { Range, SourceText } from '../util/source.ts';
import type { Heredoc } from './heredoc.ts';
import type { Word } from './lex.ts';

/** What every instruction has. Words are as written; expansion happens when a stage is lowered. */
export interface InstructionBase {
  /** The text that `range` counts in: the Dockerfile, or an ONBUILD trigger of a base image. */
  readonly source: SourceText;
  /** Everything, heredoc bodies included. */
  readonly range: Range;
  /** The instruction's name as written. */
  readonly keyword: Word;
  /** The joined text without heredoc bodies: what step names show. */
  readonly text: string;
  /** Rules that a `# check=skip=` comment directly above switches off (L-DIR-4). */
  readonly skip: readonly string[];
  /** Experimental rules that such a comment asks for. */
  readonly experimental: readonly string[];
}

/** A command in shell form, or in JSON form. */
export type Command =
  | { readonly form: 'shell'; readonly text: string; readonly range: Range }
  | { readonly form: 'exec'; readonly args: readonly string[]; readonly range: Range };

export type MountType = 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';

/** One key of a `--mount`, in normal form and as written in lower case; the value is unexpanded. */
export interface MountOption {
  readonly key: string;
  readonly written: string;
  readonly value: string | undefined;
  readonly range: Range;
}

/** One `RUN --mount`: its options in the order written. */
export interface MountSpec {
  /** undefined: it has variables. */
  readonly type: MountType | undefined;
  readonly options: readonly MountOption[];
  readonly range: Range;
}

export interface Pair {
  readonly key: Word;
  readonly value: Word;
}

/** Flags that COPY and ADD share. */
export interface CopyFlags {
  readonly chown?: Word | undefined;
  readonly chmod?: Word | undefined;
  readonly link: boolean;
  readonly exclude: readonly Word[];
}

/** A source of COPY or ADD. */
export type CopyWord =
  | { readonly kind: 'path'; readonly word: Word }
  | { readonly kind: 'heredoc'; readonly heredoc: Heredoc };

interface CopyBase extends InstructionBase, CopyFlags {
  readonly sources: readonly CopyWord[];
  readonly dest: Word;
}

export interface FromInstruction extends InstructionBase {
  readonly kind: 'from';
  readonly image: Word;
  readonly platform?: Word | undefined;
  readonly as?: { readonly keyword: Word; readonly name: Word } | undefined;
  /** The comment lines directly above: one may be `# <name> <description>` (L-PARSE-12). */
  readonly comments: readonly Word[];
}

export interface ArgInstruction extends InstructionBase {
  readonly kind: 'arg';
  readonly args: readonly { readonly name: Word; readonly value?: Word | undefined }[];
  /** As those of FROM. */
  readonly comments: readonly Word[];
}

export interface RunInstruction extends InstructionBase {
  readonly kind: 'run';
  readonly command: Command;
  readonly mounts: readonly MountSpec[];
  readonly network?: 'default' | 'none' | 'host' | undefined;
  readonly security: 'sandbox' | 'insecure';
  readonly heredocs: readonly Heredoc[];
}

export interface CopyInstruction extends CopyBase {
  readonly kind: 'copy';
  readonly from?: Word | undefined;
  readonly parents: boolean;
}

export interface AddInstruction extends CopyBase {
  readonly kind: 'add';
  readonly keepGitDir?: boolean | undefined;
  readonly checksum?: Word | undefined;
  readonly unpack?: boolean | undefined;
}

export interface EnvInstruction extends InstructionBase {
  readonly kind: 'env' | 'label';
  readonly pairs: readonly Pair[];
  /** `ENV k v` without an equals sign. */
  readonly legacy: boolean;
}

export interface CommandInstruction extends InstructionBase {
  readonly kind: 'cmd' | 'entrypoint';
  readonly command: Command;
}

export interface WordInstruction extends InstructionBase {
  readonly kind: 'user' | 'workdir' | 'stopsignal' | 'maintainer';
  readonly value: Word;
}

export interface WordsInstruction extends InstructionBase {
  readonly kind: 'expose' | 'volume';
  readonly values: readonly Word[];
}

export interface ShellInstruction extends InstructionBase {
  readonly kind: 'shell';
  readonly args: readonly string[];
}

export interface OnbuildInstruction extends InstructionBase {
  readonly kind: 'onbuild';
  /** The trigger, heredoc bodies included: what the image config keeps. */
  readonly trigger: string;
}

export interface HealthcheckInstruction extends InstructionBase {
  readonly kind: 'healthcheck';
  /** undefined: NONE. */
  readonly command: Command | undefined;
  /** Nanoseconds; 0 means inherit. */
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
}

export type Instruction =
  | FromInstruction
  | ArgInstruction
  | RunInstruction
  | CopyInstruction
  | AddInstruction
  | EnvInstruction
  | CommandInstruction
  | WordInstruction
  | WordsInstruction
  | ShellInstruction
  | OnbuildInstruction
  | HealthcheckInstruction;

/** Names of all instructions, for suggestions. */
export const instructionNames: readonly string[] = [
  'ADD',
  'ARG',
  'CMD',
  'COPY',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'FROM',
  'HEALTHCHECK',
  'LABEL',
  'MAINTAINER',
  'ONBUILD',
  'RUN',
  'SHELL',
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
];
