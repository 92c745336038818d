import { bySource, lintText } from '../frontend/checks/check.ts';
import { readCheckOptions } from '../frontend/checks/options.ts';
import { checkRules, checkUrl } from '../frontend/checks/rules.ts';
import type { LowerOptions } from '../frontend/lower.ts';
import { defaultsOf, lower } from '../frontend/lower.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';
import type { Diagnostic } from '../progress/event.ts';
import { BuildError } from '../util/build-error.ts';
import { applyEdits } from '../util/edit.ts';
import type { SourceText } from '../util/source.ts';
import { knownBase } from './base-images.ts';
import { openContexts } from './contexts.ts';
import { unknownImage } from './outline.ts';
import { ignoredBy, lowerOptions } from './plan.ts';
import { withSession } from './session.ts';
import type { BuildOptions, CheckResult, CheckRuleInfo } from './types.ts';

/** The rounds that --fix may take: a change may bring up another finding, and no rule undoes another. */
const rounds = 10;

/**
 * What the build checks find in the stages that the target needs, in all stages without one (I-3). Nothing is built and no registry is
 * asked: of a base image that the store does not know nothing is known, so its variables count as set. A faulty file is no exception but
 * a result. With `fix`, the text that satisfies the rules that can be satisfied without changing the graph or the image's config; its
 * history may have other lines, as it repeats the text.
 */
export function check(options: BuildOptions & { readonly fix?: boolean | undefined }): Promise<CheckResult> {
  return withSession(options, async (session) => {
    await using contexts = await openContexts(options, session, () => session.store.tempDir());
    const source = await contexts.main.dockerfile();
    const unknown = new Set<string>();
    const given: LowerOptions = {
      ...lowerOptions(options, session.env, contexts.named),
      allStages: options.target === undefined,
      ignoredBy: ignoredBy(contexts.main),
      resolveImage: async (reference, platform) => {
        const known = await knownBase(session, reference, platform);
        if (known === undefined) unknown.add(shortName(reference));
        return known ?? unknownImage(reference, platform);
      },
    };
    const result =
      options.fix === true ? await fixed(source, given) : { source, ...(await findingsOf(source, given)) };
    return { ...result, unknownBases: [...unknown].toSorted() };
  });
}

/** All build checks, in the order of their numbers. */
export function listChecks(): Promise<readonly CheckRuleInfo[]> {
  return Promise.resolve(
    Object.entries(checkRules).map(([name, rule]) => {
      const url = checkUrl(name);
      return { name, ...rule, ...(url === undefined ? {} : { url }) };
    }),
  );
}

async function fixed(source: SourceText, options: LowerOptions): Promise<Omit<CheckResult, 'unknownBases'>> {
  let text = source;
  const done: Diagnostic[] = [];
  const first = await findingsOf(text, options);
  let result = first;
  for (let round = 0; round < rounds && result.errors.length === 0; round++) {
    const { findings } = result;
    // What a trigger of a base image says stands in no file of the user's.
    const changes = findings.map((finding) => (finding.source?.source === text ? (finding.fix ?? []) : []));
    const { text: changed, made } = applyEdits(text.text, changes);
    if (made.size === 0) break;
    done.push(...findings.filter((_, index) => made.has(index)));
    text = { ...text, text: changed };
    result = await findingsOf(text, options);
  }
  if (done.length === 0) return { source, ...result };
  const before = { source, findings: first.findings.filter(({ fix }) => fix === undefined) };
  return { source: text, ...result, fixed: { findings: done, before } };
}

async function findingsOf(
  source: SourceText,
  options: LowerOptions,
): Promise<{ readonly findings: readonly Diagnostic[]; readonly errors: readonly BuildError[] }> {
  const file = parseDockerfile(source);
  const isCheck = ({ rule }: Diagnostic): boolean => Object.hasOwn(checkRules, rule);
  try {
    const { diagnostics } = await lower(file, options);
    return { findings: diagnostics.filter(isCheck), errors: [] };
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    // What `error=true` refuses is what the checks found.
    if (error.code === 'CHECK_FAILED') {
      const found = error.details['diagnostics'] as readonly Diagnostic[];
      return { findings: found.toSorted(bySource), errors: [] };
    }
    const given = options.buildArgs['BUILDKIT_DOCKERFILE_CHECK'] ?? file.directives.check?.text;
    const input = { ...file, built: file.stages, defaults: defaultsOf(file, options) };
    return {
      findings: lintText(input, readCheckOptions(given)),
      errors: [error, ...error.others],
    };
  }
}

function shortName(reference: string): string {
  return reference.startsWith('oci-layout://') ? reference : familiarReference(parseReference(reference));
}
