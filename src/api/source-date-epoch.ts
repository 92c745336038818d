import type { ParsedDockerfile } from '../frontend/parse.ts';
import { gitOp, isRemote } from '../frontend/remote.ts';
import { findStage } from '../frontend/stages.ts';
import { isGitUrl } from '../util/git-url.ts';
import { BuildError } from '../util/build-error.ts';
import type { BuildContexts } from './contexts.ts';
import type { Session } from './session.ts';

/** Latest second that a tar header, an ISO 8601 date and a JavaScript date can all hold: the end of the year 9999. */
const latest = 253_402_300_799;

/** What SOURCE_DATE_EPOCH may name besides a number. */
interface Sources {
  readonly session: Session;
  readonly contexts: BuildContexts;
  readonly file: ParsedDockerfile;
}

/**
 * SOURCE_DATE_EPOCH in seconds (L-ARG-10; reproducible-builds.org/specs/source-date-epoch): a number, `context`, the name of a build
 * context, or that of a stage FROM scratch with one remote ADD. The time of a commit, of Last-Modified, or of the newest file of an
 * archive counts; a local directory has none, and undefined is returned. Throws USAGE for any other text.
 */
export async function resolveEpoch(text: string | undefined, sources: Sources): Promise<number | undefined> {
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,12}$/.test(text) && Number(text) <= latest) return Number(text);
  const time = await namedTime(text, sources);
  if (time !== 'unknown') return time;
  throw new BuildError('USAGE', `SOURCE_DATE_EPOCH is \`${text.slice(0, 40)}\`, which is no time`, {
    hint: 'set it to whole seconds since 1970, like `git log -1 --format=%ct` prints, to `context`, or to the name of a build context or of a stage with one remote ADD',
  });
}

async function namedTime(
  text: string,
  { session, contexts, file }: Sources,
): Promise<number | undefined | 'unknown'> {
  if (text === 'context') return contexts.main.time?.();
  if (Object.hasOwn(contexts.named, text)) {
    if (contexts.named[text]?.kind === 'image') return 'unknown';
    return (await contexts.open(text)).time?.();
  }
  const stage = findStage(file.stages, text, { byIndex: false });
  const adds = (stage?.instructions ?? []).filter(({ kind }) => kind === 'add');
  const [add] = adds;
  if (stage?.from.image.text !== 'scratch' || add?.kind !== 'add' || adds.length > 1) return 'unknown';
  const [source] = add.sources;
  if (source?.kind !== 'path' || add.sources.length > 1 || !isRemote(source.word.text)) return 'unknown';
  return remoteTime(source.word.text, session);
}

/** When a remote source was last changed. */
async function remoteTime(url: string, session: Session): Promise<number | undefined> {
  const { env, signal, store } = session;
  if (isGitUrl(url)) {
    const { openCheckout } = await import('../source/git.ts');
    await using checkout = await openCheckout(gitOp(url), { env, signal, tempDir: () => store.tempDir() });
    return await checkout.time();
  }
  const { fetchFile } = await import('../source/http.ts');
  const { mtime } = await fetchFile({ url }, { env, signal, cacheDir: store.root });
  return mtime === 0n ? undefined : Number(mtime / 1_000_000_000n);
}
