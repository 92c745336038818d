import type { ContainerConfig, HistoryEntry } from '../oci/config.ts';
import type { Digest } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';
import type { SourceLocation } from '../util/source.ts';
import type { EnvList } from './scope.ts';

/** A history entry of this build; `vertex` makes its layer, `source` is the instruction that it is of. */
export type NewHistoryEntry = HistoryEntry & {
  readonly vertex?: Digest;
  readonly source?: SourceLocation;
};

/** A stage up to some instruction. Lowering is a fold over these records. */
export interface StageState {
  /** The filesystem; undefined: the empty one. */
  readonly vertex: Digest | undefined;
  /** The name of the build context that `vertex` is: files to copy from, but no filesystem yet. */
  readonly tree?: string | undefined;
  readonly config: ContainerConfig;
  readonly author: string | undefined;
  /** Image Env, and ARGs with a value: what later instructions see (L-ARG-5). */
  readonly env: EnvList;
  /** ARGs declared so far; a value of undefined: declared, not set. */
  readonly args: readonly (readonly [name: string, value: string | undefined])[];
  /** CMD stood in this stage, so ENTRYPOINT leaves it alone (L-ENTRY-1). */
  readonly hasCmd: boolean;
  /** WORKDIR stood in this stage, or in one that it is based on: later ones do not depend on the base image. */
  readonly hasWorkdir: boolean;
  /** What steps run for. */
  readonly platform: Platform;
  /** What the config of the base image says that it is for. */
  readonly basePlatform: Platform;
  /** The base image was not looked at: it may set any variable. */
  readonly unseenBase: boolean;
  readonly baseHistory: readonly HistoryEntry[];
  readonly history: Chain<NewHistoryEntry> | undefined;
  /** What LABEL set, on top of those of `config`. */
  readonly labels: Chain<readonly [name: string, value: string]> | undefined;
}

/** The last one, and what stands before it: adding one copies nothing, so a stage of many instructions takes linear time. */
interface Chain<T> {
  readonly last: T;
  readonly before: Chain<T> | undefined;
}

const comment = 'buildkit.dockerfile.v0';

/** With one more history entry (section 1.6): with a layer when `vertex` is given. */
export function withHistory(state: StageState, text: string, vertex?: Digest): StageState {
  const entry: NewHistoryEntry =
    vertex === undefined
      ? { created_by: text, comment, empty_layer: true }
      : { created_by: text, comment, vertex };
  return {
    ...state,
    ...(vertex === undefined ? {} : { vertex }),
    history: { last: entry, before: state.history },
  };
}

/** With labels set. */
export function withLabels(
  state: StageState,
  pairs: readonly (readonly [name: string, value: string])[],
): StageState {
  return { ...state, labels: pairs.reduce((before, last) => ({ last, before }), state.labels) };
}

/** The links of a chain, the first one first. */
export function listOf<T>(chain: Chain<T> | undefined): readonly T[] {
  const links: T[] = [];
  for (let at = chain; at !== undefined; at = at.before) links.push(at.last);
  return links.toReversed();
}

/** With some keys of the config replaced; a value of undefined takes the key away. */
export function withConfig(
  state: StageState,
  change: { readonly [K in keyof ContainerConfig]?: ContainerConfig[K] | undefined },
): StageState {
  const config: Record<string, unknown> = { ...state.config, ...change };
  for (const [key, value] of Object.entries(change)) if (value === undefined) delete config[key];
  return { ...state, config };
}
