import { storeError } from '../store/store-error.ts';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootId, findProgram } from '../host/probe.ts';
import { makeDirectories } from '../util/make-directories.ts';
import { BuildError } from '../util/build-error.ts';
import { embeddedRuntime } from './embedded-runtime.ts';
import { knownHoles, ociRuntime, ociRuntimeNames, runtimeVariants, runtimeVersion } from './oci-runtime.ts';
import type { Runtime } from './runtime.ts';
import { seccompArch } from './seccomp.ts';

/** What a trial of one runtime showed. */
export interface RuntimeFinding {
  readonly name: string;
  /** Absent for the embedded runtime. */
  readonly program?: string | undefined;
  readonly version?: string | undefined;
  /** Security holes of this version (S-P-8). */
  readonly holes?: string | undefined;
  readonly usable: boolean;
  /** Why it is not usable: what it said. */
  readonly problem?: string | undefined;
  /** Options that made it work. */
  readonly options?: readonly string[] | undefined;
}

export interface RuntimeSearch {
  /** Root of the store: findings are kept in `probe.json`, for this start of the machine and this very file. */
  readonly root: string;
  readonly path: string;
  /** 'runc', 'crun', 'youki', 'embedded' or a program's path; undefined: the best that works. */
  readonly requested: string | undefined;
  readonly host: { readonly cgroupV2: boolean; readonly ids: 'many' | 'single' | undefined };
  /** Runs a command once; undefined when that worked, else what was said. */
  trial(runtime: Runtime): Promise<string | undefined>;
}

/** The runtimes that may work, best first: OCI runtimes need the ids that images have. */
export function runtimeNames(host: RuntimeSearch['host']): readonly string[] {
  return host.ids === 'single' ? ['embedded'] : [...ociRuntimeNames, 'embedded'];
}

export interface ChosenRuntime {
  readonly runtime: Runtime;
  readonly finding: RuntimeFinding;
}

/**
 * Finds the runtime for steps. One with known holes is the last choice, unless it was asked for. Throws SANDBOX_UNAVAILABLE with what each
 * candidate lacks.
 */
export async function chooseRuntime(search: RuntimeSearch): Promise<ChosenRuntime> {
  const { requested } = search;
  const problems: string[] = [];
  if (search.host.ids === 'single' && requested !== undefined && requested !== 'embedded')
    throw new BuildError(
      'SANDBOX_UNAVAILABLE',
      `with a single id only the embedded runtime works, not ${requested}`,
      { hint: 'run `tsbuild doctor`: it names what gives this user more ids' },
    );
  const unsafe: RuntimeFinding[] = [];
  for (const candidate of requested === undefined ? runtimeNames(search.host) : [requested]) {
    const finding = await examineRuntime(candidate, search);
    if (finding === undefined) problems.push(`${candidate}: not found`);
    else if (!finding.usable) problems.push(`${candidate}: ${finding.problem ?? 'does not work'}`);
    // A version with known holes comes after the embedded runtime, unless it was asked for.
    else if (finding.holes !== undefined && requested === undefined) unsafe.push(finding);
    else return { runtime: runtimeOf(finding, search), finding };
  }
  const [last] = unsafe;
  if (last !== undefined) return { runtime: runtimeOf(last, search), finding: last };
  throw new BuildError('SANDBOX_UNAVAILABLE', `no runtime can execute a step here (${problems.join('; ')})`, {
    hint: 'run `tsbuild doctor`: it names what is missing. Builds without RUN need no runtime.',
    details: { problems },
  });
}

/** Looks for a runtime and tries it, unless a finding for it is known. undefined: it is not installed. */
export async function examineRuntime(
  name: string,
  search: RuntimeSearch,
): Promise<RuntimeFinding | undefined> {
  const embedded = name === 'embedded';
  const program = embedded ? process.execPath : findProgram(name, search.path);
  if (program === undefined) return undefined;
  const stat = statSync(program);
  const key = `${name} ${program} ${stat.mtimeMs} ${stat.size}`;
  const known = readFindings(search.root);
  const kept = known[key];
  // What is known of a version may be newer than the trial.
  if (kept?.usable === true) return { ...kept, holes: program && knownHoles(program, kept.version) };
  const finding = embedded ? await tryEmbedded(search) : await tryProgram(name, program, search);
  // Only what works is kept: what does not may work a minute later.
  if (finding.usable) writeFindings(search.root, { ...known, [key]: finding });
  return finding;
}

async function tryEmbedded(search: RuntimeSearch): Promise<RuntimeFinding> {
  if (seccompArch() === undefined)
    return { name: 'embedded', usable: false, problem: `no system call filter for ${process.arch}` };
  const problem = await search.trial(embeddedRuntime(search.host));
  return { name: 'embedded', version: process.versions.node, usable: problem === undefined, problem };
}

async function tryProgram(name: string, program: string, search: RuntimeSearch): Promise<RuntimeFinding> {
  const version = await runtimeVersion(program, search.path);
  const about = { name, program, version, holes: knownHoles(program, version) };
  let problem: string | undefined;
  for (const options of runtimeVariants(program)) {
    const said = await search.trial(ociRuntime(program, options));
    if (said === undefined) return { ...about, usable: true, options };
    problem ??= said;
  }
  return { ...about, usable: false, problem };
}

function runtimeOf(finding: RuntimeFinding, search: RuntimeSearch): Runtime {
  return finding.program === undefined
    ? embeddedRuntime(search.host)
    : ociRuntime(finding.program, finding.options);
}

interface Findings {
  readonly [key: string]: RuntimeFinding;
}

function readFindings(root: string): Findings {
  try {
    const kept = JSON.parse(readFileSync(join(root, 'probe.json'), 'utf8')) as {
      boot?: string;
      runtimes?: Findings;
    };
    return kept.boot === bootId() ? (kept.runtimes ?? {}) : {};
  } catch {
    // Missing or damaged: everything is tried again.
    return {};
  }
}

function writeFindings(root: string, runtimes: Findings): void {
  makeRoot(root);
  const path = join(root, 'probe.json');
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify({ boot: bootId(), runtimes })}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}

function makeRoot(root: string): void {
  try {
    makeDirectories(root, 0o700);
  } catch (error) {
    throw storeError(error, `making the store at ${root}`);
  }
}
