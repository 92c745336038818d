import { bySource } from '../frontend/checks/check.ts';
import { checkRules, checkUrl } from '../frontend/checks/rules.ts';
import type { LowerOptions, ResolvedImage } from '../frontend/lower.ts';
import { lower } from '../frontend/lower.ts';
import { parseDockerfile } from '../frontend/parse.ts';
import { normalizePlatform } from '../oci/platform.ts';
import type { Platform } from '../oci/platform.ts';
import type { Diagnostic } from '../progress/event.ts';
import { BuildError } from '../util/build-error.ts';
import { applyEdits } from '../util/edit.ts';
import type { SourceText } from '../util/source.ts';
import { openContexts } from './contexts.ts';
import { unknownImage } from './outline.ts';
import { ignoredBy, lowerOptions } from './plan.ts';
import type { Session } from './session.ts';
import { withSession } from './session.ts';
import { findStoreImage } from './store-image.ts';
import type { BuildOptions, CheckResult, CheckRuleInfo } from './types.ts';

/** The rounds that --fix may take: a change may bring up another finding, and no rule undoes another. */
const rounds = 10;

/**
 * What the build checks find in the stages that the target needs, in all stages without one (I-3). Nothing is built and no registry is
 * asked: of a base image that the store does not have nothing is known, so its variables count as set. A faulty file is no exception but
 * a result. With `fix`, the text that satisfies the rules that can be satisfied without changing the graph or the image's config.
 */
export function check(options: BuildOptions & { readonly fix?: boolean | undefined }): Promise<CheckResult> {
  return withSession(options, async (session) => {
    await using contexts = await openContexts(options, session, () => session.store.tempDir());
    const source = await contexts.main.dockerfile();
    const given = {
      ...lowerOptions(options, session.env, contexts.named),
      allStages: options.target === undefined,
      ignoredBy: ignoredBy(contexts.main),
      resolveImage: (reference: string, platform: Platform) => knownImage(session, reference, platform),
    };
    if (options.fix !== true) return { source, ...(await findingsOf(source, given)) };
    return await fixed(source, given);
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

async function fixed(source: SourceText, options: LowerOptions): Promise<CheckResult> {
  let text = source;
  const done: Diagnostic[] = [];
  let result = await findingsOf(text, options);
  for (let round = 0; round < rounds && result.errors.length === 0; round++) {
    const { findings } = result;
    const changes = findings.map((finding) => finding.fix ?? []);
    const { text: changed, made } = applyEdits(text.text, changes);
    if (made.size === 0) break;
    done.push(...findings.filter((_, index) => made.has(index)));
    text = { ...text, text: changed };
    result = await findingsOf(text, options);
  }
  return {
    source: text,
    ...result,
    ...(done.length === 0 ? {} : { fixed: { text: text.text, findings: done } }),
  };
}

async function findingsOf(
  source: SourceText,
  options: LowerOptions,
): Promise<{ readonly findings: readonly Diagnostic[]; readonly errors: readonly BuildError[] }> {
  const file = parseDockerfile(source);
  const isCheck = ({ url, rule }: Diagnostic): boolean =>
    url !== undefined || Object.hasOwn(checkRules, rule);
  try {
    const { diagnostics } = await lower(file, options);
    return { findings: diagnostics.filter(isCheck), errors: [] };
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    // What `error=true` refuses is what the checks found.
    const found = error.details['diagnostics'] as readonly Diagnostic[] | undefined;
    if (error.code === 'CHECK_FAILED')
      return { findings: (found ?? []).filter(isCheck).toSorted(bySource), errors: [] };
    return { findings: file.diagnostics.filter(isCheck), errors: [error, ...error.others] };
  }
}

/** The image where the store has it, for whatever platform; else one that nothing is known of. */
async function knownImage(session: Session, reference: string, platform: Platform): Promise<ResolvedImage> {
  try {
    const { image, descriptor } = await findStoreImage(session, reference);
    const config = await image.config();
    const { os, architecture, variant } = config;
    return {
      reference,
      digest: descriptor.digest,
      platform: normalizePlatform({ os, architecture, ...(variant === undefined ? {} : { variant }) }),
      config,
    };
  } catch {
    return unknownImage(reference, platform);
  }
}
