import type { Definition } from '../graph/definition.ts';
import type { ContainerConfig, HistoryEntry } from '../oci/config.ts';
import type { Digest } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform, normalizePlatform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { Diagnostic } from '../util/diagnostic.ts';
import type { StageBase } from './bases.ts';
import { readBases } from './bases.ts';
import { readCheckOptions } from './checks/options.ts';
import { checkRule } from './checks/rules.ts';
import { findContext, unusedContexts } from './contexts.ts';
import type { ArgInstruction } from './instruction.ts';
import { isOwnFrontend } from './directives.ts';
import { bySource, lintText, makeDiagnostic } from './checks/check.ts';
import type { Finding } from './checks/finding.ts';
import { attempt } from './checks/finding.ts';
import { asFilesystem, lowerStage } from './lower-stage.ts';
import type { Lowering, LowerOptions, ResolvedImage } from './lowering.ts';
import { placed } from './lowering.ts';
import { noCacheOf, unknownFilters, withDependents } from './no-cache.ts';
import type { ParsedDockerfile } from './parse.ts';
import { byPlace } from './parse.ts';
import type { EnvList } from './scope.ts';
import {
  controlArgNames,
  getEnv,
  globalScope,
  ownValue,
  platformArgNames,
  platformArgs,
  proxyArgNames,
} from './scope.ts';
import { findCycle, targetStage } from './stages.ts';
import type { NewHistoryEntry, StageState } from './state.ts';
import { listOf } from './state.ts';
import { didYouMean } from '../util/suggest.ts';
import { vertexSet } from './vertices.ts';
import { expandWord } from './words.ts';

export type { LowerOptions, ResolvedImage } from './lowering.ts';

/** An image that a definition makes. */
export interface LoweredImage {
  readonly platform: Platform;
  /** Its filesystem; undefined: the empty one. */
  readonly vertex: Digest | undefined;
  /** Final, with the labels of the options. */
  readonly config: { readonly author?: string; readonly config: ContainerConfig };
  /** That of the base image, untouched. */
  readonly baseHistory: readonly HistoryEntry[];
  /** The new entries, in order, without `created`; those with a layer name the vertex that makes it, the others are `empty_layer`. */
  readonly history: readonly NewHistoryEntry[];
}

export interface LowerResult {
  /** Only what the target reaches (L-FROM-6). */
  readonly definition: Definition;
  readonly images: readonly LoweredImage[];
  /** All build checks, those of the parsed file included, and unused build args; in source order. */
  readonly diagnostics: readonly Diagnostic[];
  /** Whether the main build context is read. */
  readonly usesContext: boolean;
  /** The last states of the stages that the target reaches, by number. */
  readonly stages: ReadonlyMap<number, StageState>;
  /** The ARGs before the first FROM, and the automatic ones, with their values. */
  readonly globals: EnvList;
}

/**
 * Turns a parsed Dockerfile into a build graph. `resolveImage` is asked only for images that the target reaches. Rejects with a
 * BuildError, placed in the Dockerfile, for what the user can cause; the first fault of a file that does not parse carries the others.
 * With `# check=error=true` a finding rejects with CHECK_FAILED.
 */
export async function lower(parsed: ParsedDockerfile, options: LowerOptions): Promise<LowerResult> {
  if (parsed.errors.length > 0) throw asOne(parsed.errors);
  const givenCheck = ownValue(options.buildArgs, 'BUILDKIT_DOCKERFILE_CHECK');
  const check = readCheckOptions(givenCheck ?? parsed.directives.check?.text);
  if (check.fault !== undefined)
    throw new BuildError('USAGE', `BUILDKIT_DOCKERFILE_CHECK: ${check.fault.message}`, {
      hint: check.fault.hint,
    });
  const diagnostics: Diagnostic[] = [];
  const seen = new Set<string>();
  const report = (rule: string, finding: Finding): void => {
    const diagnostic = makeDiagnostic(rule, finding, check);
    const key = JSON.stringify([rule, finding.message, finding.range]);
    if (diagnostic === undefined || seen.has(key)) return;
    seen.add(key);
    diagnostics.push(diagnostic);
  };
  const target = targetStage(parsed.stages, options.target);
  const globals = globalsOf(parsed, options);
  const { bases, faults: early } = readBases(parsed, options, globals);
  const cycle = findCycle(parsed.stages);
  if (early.length > 0 || cycle !== undefined)
    throw asOne([...early, ...(cycle === undefined ? [] : [cycle])].toSorted(byPlace));
  const usedArgs = new Set<string>();
  const usedContexts = new Set<string>();
  const faults = new Set<BuildError>();
  let usesContext = false;
  const stages = new Map<number, Promise<StageState>>();
  const images = new Map<string, Promise<ResolvedImage>>();
  const lowering: Lowering = {
    file: parsed,
    options,
    globals,
    bases,
    vertices: vertexSet(),
    noCache: noCacheOf(parsed, options),
    stage: (index) => {
      const stage = parsed.stages[index];
      if (stage === undefined)
        return Promise.reject(new BuildError('INTERNAL', `there is no stage ${index}`));
      // On a stack of its own: ten thousand stages may each build on the one before.
      return remember(stages, index, () => Promise.resolve().then(() => lowerStage(lowering, stage)));
    },
    context: () => {
      usesContext = true;
      return lowering.vertices.add({ kind: 'context', name: 'context' }, [], {
        name: '[internal] load build context',
        rank: 0,
      });
    },
    resolve: (reference, platform, location) =>
      remember(images, `${formatPlatform(platform)} ${reference}`, () =>
        options.resolveImage(reference, platform, location),
      ),
    report,
    fault: (error) => {
      if (!isFault(error)) throw error;
      faults.add(error);
    },
    useArg: (name) => usedArgs.add(name),
    useContext: (name) => usedContexts.add(name),
  };
  const made = await lowering.stage(target.index).catch((error: unknown) => lowering.fault(error));
  const reached = new Map(stages);
  if (options.allStages === true) {
    for (const { index } of parsed.stages)
      await lowering.stage(index).catch((error: unknown) => lowering.fault(error));
  }
  if (made === undefined || faults.size > 0) throw await allFaults(stages, faults);
  const state = asFilesystem(lowering, made, target.index);
  const built = parsed.stages.filter(({ index }) => stages.has(index) && !isContext(bases[index]));
  const told = [
    ...syntaxNotice(parsed, options),
    ...lintText({ ...parsed, built, defaults: defaultsOf(parsed, options) }, check),
    ...diagnostics,
    ...unusedArgs(parsed, options, usedArgs),
    ...argsWithoutEffect(options),
    ...unknownFilters(parsed, options),
    ...unusedContexts(options.namedContexts, {
      names: saidNames(parsed, bases, options),
      used: usedContexts,
    }),
  ].toSorted(bySource);
  if (check.error) failOnFindings(told, givenCheck !== undefined);
  const labels = { ...Object.fromEntries(listOf(state.labels)), ...options.labels };
  const config: ContainerConfig =
    Object.keys(labels).length === 0
      ? state.config
      : { ...state.config, Labels: { ...state.config.Labels, ...labels } };
  const definition = lowering.vertices.definition(state.vertex);
  return {
    definition: options.noCacheFrom === undefined ? definition : withDependents(definition),
    images: [
      {
        platform: finalPlatform(state, options),
        vertex: state.vertex,
        config: { config, ...(state.author === undefined ? {} : { author: state.author }) },
        baseHistory: state.baseHistory,
        history: listOf(state.history),
      },
    ],
    diagnostics: told,
    usesContext,
    stages: await states(reached),
    globals,
  };
}

/**
 * What the image is said to be for: the platform asked for, with the details of the base's where the processor is the same; that of the
 * base where nobody asked (section 1.6).
 */
function finalPlatform({ basePlatform: base }: StageState, options: LowerOptions): Platform {
  const { platform } = options;
  if (!options.platformIsExplicit) return normalizePlatform(base);
  const same = base.os === platform.os && base.architecture === platform.architecture;
  return normalizePlatform(same ? { ...base, ...platform } : platform);
}

/** Whether a build context stands for the stage: its instructions are not built. */
function isContext(base: StageBase | undefined): boolean {
  return base?.kind === 'context' && base.replaces;
}

function remember<K, V>(known: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const before = known.get(key);
  if (before !== undefined) return before;
  const made = make();
  known.set(key, made);
  return made;
}

async function states(
  stages: ReadonlyMap<number, Promise<StageState>>,
): Promise<ReadonlyMap<number, StageState>> {
  const done = new Map<number, StageState>();
  for (const [index, stage] of stages) done.set(index, await stage);
  return done;
}

/** What is wrong in the Dockerfile itself, in contrast to what a registry says. */
function isFault(error: unknown): error is BuildError {
  return error instanceof BuildError && error.code.startsWith('DOCKERFILE_') && error.source !== undefined;
}

/** One error that carries all faults, in source order; stages that are still being lowered are waited for. */
async function allFaults(
  stages: ReadonlyMap<number, Promise<StageState>>,
  faults: Set<BuildError>,
): Promise<BuildError> {
  for (let settled = -1; settled < stages.size;) {
    settled = stages.size;
    for (const outcome of await Promise.allSettled(stages.values()))
      if (outcome.status === 'rejected' && isFault(outcome.reason)) faults.add(outcome.reason);
  }
  return asOne([...faults].toSorted(byPlace));
}

function asOne([first, ...others]: readonly BuildError[]): BuildError {
  if (first === undefined) return new BuildError('INTERNAL', 'a Dockerfile was refused without a fault');
  const { code, message, hint, source, details } = first;
  return new BuildError(code, message, { hint, source, details, others });
}

/** The ARGs before the first FROM, and the automatic ones, with their values. Throws DOCKERFILE_EXPANSION. */
export function globalsOf(
  parsed: ParsedDockerfile,
  options: Pick<LowerOptions, 'buildArgs' | 'platform' | 'buildPlatform' | 'target'>,
): EnvList {
  const automatic = platformArgs(options);
  const expand = (text: string, scope: EnvList, about: ArgInstruction): string =>
    placed(about, about.range, () =>
      expandWord(text, { escape: parsed.directives.escape, lookup: (name) => getEnv(scope, name) }),
    );
  return globalScope(automatic, parsed.globalArgs, { buildArgs: options.buildArgs, expand });
}

/** The same as if nobody had given a value; undefined: a default is faulty. */
export function defaultsOf(parsed: ParsedDockerfile, options: LowerOptions): EnvList | undefined {
  return attempt(() => globalsOf(parsed, { ...options, buildArgs: {} }));
}

/** A `# syntax=` that is not Docker's own, or that a build context replaces, cannot be honoured: tsbuild reads the file itself (L-DIR-1). */
function syntaxNotice(parsed: ParsedDockerfile, options: LowerOptions): readonly Diagnostic[] {
  const { syntax: directive } = parsed.directives;
  const given = ownValue(options.buildArgs, 'BUILDKIT_SYNTAX');
  const text = given ?? directive?.text;
  if (text === undefined) return [];
  const isReplaced = findContext(options.namedContexts, text, options.buildPlatform) !== undefined;
  if (isOwnFrontend(text) && !isReplaced) return [];
  return [
    {
      severity: 'warning',
      rule: 'SyntaxIgnored',
      message: `the frontend \`${text}\` is not loaded; the file is read as a Dockerfile`,
      ...(directive === undefined || given !== undefined
        ? {}
        : { source: { source: parsed.source, range: directive.range } }),
    },
  ];
}

/** All that may mean a build context, in stages that are not built too. */
function* saidNames(
  parsed: ParsedDockerfile,
  bases: readonly StageBase[],
  { buildArgs, timeFrom }: LowerOptions,
): Generator<string> {
  for (const { text } of bases) yield text;
  for (const { name } of parsed.stages) if (name !== undefined) yield name;
  yield ownValue(buildArgs, 'BUILDKIT_SYNTAX') ?? parsed.directives.syntax?.text ?? '';
  yield timeFrom ?? '';
  for (const instruction of parsed.instructions) {
    if (instruction.kind === 'copy' && instruction.from !== undefined) yield instruction.from.text;
    if (instruction.kind !== 'run') continue;
    for (const { options } of instruction.mounts)
      for (const { key, value } of options) if (key === 'from' && value !== undefined) yield value;
  }
}

/** Control args that ask for what this version does not do (L-ARG-9). */
function argsWithoutEffect({ buildArgs }: LowerOptions): readonly Diagnostic[] {
  return ['BUILDKIT_INLINE_CACHE', 'BUILDKIT_MULTI_PLATFORM']
    .filter((name) => /^(?:1|t|true)$/i.test(ownValue(buildArgs, name) ?? ''))
    .map((name) => ({
      severity: 'note',
      rule: 'BuildArgWithoutEffect',
      message: `the build arg \`${name}\` has no effect in this version`,
    }));
}

/** --build-arg values that no ARG takes (L-ARG-6). */
function unusedArgs(
  parsed: ParsedDockerfile,
  options: LowerOptions,
  used: ReadonlySet<string>,
): readonly Diagnostic[] {
  const declared = new Set([
    ...used,
    ...parsed.instructions.flatMap((instruction) =>
      instruction.kind === 'arg' ? instruction.args.map(({ name }) => name.text) : [],
    ),
  ]);
  const builtIn = new Set([...proxyArgNames, ...controlArgNames, ...platformArgNames]);
  return Object.keys(options.buildArgs)
    .filter((name) => !declared.has(name) && !builtIn.has(name))
    .toSorted()
    .map((name) => {
      const hint = didYouMean(name, declared);
      return {
        severity: 'warning',
        rule: 'UnusedBuildArg',
        message: `no ARG takes the build arg \`${name}\``,
        ...(hint === undefined ? {} : { hint }),
      };
    });
}

function failOnFindings(diagnostics: readonly Diagnostic[], byArg: boolean): void {
  const findings = diagnostics.filter(({ rule }) => checkRule(rule) !== undefined);
  const [first] = findings;
  if (first === undefined) return;
  const rules = [...new Set(findings.map(({ rule }) => rule))].toSorted();
  throw new BuildError('CHECK_FAILED', `build checks found something: ${rules.join(', ')}`, {
    source: first.source,
    hint: `${byArg ? '--build-arg BUILDKIT_DOCKERFILE_CHECK' : 'the file'} says \`error=true\``,
    details: { diagnostics: findings },
  });
}
