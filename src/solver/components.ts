import type { KeyComponents, Named } from '../graph/key-components.ts';
import type { Vertex } from '../graph/vertex.ts';
import { digestOf } from '../oci/digest.ts';
import { looksSecret } from '../util/looks-secret.ts';
import type { Step } from './step.ts';

/** A value is kept whole up to this many characters. */
const longestValue = 200;

export interface ComponentsAbout {
  readonly vertexOf: (digest: Vertex['digest']) => Vertex;
  readonly signal: AbortSignal;
  /** Takes secrets out. */
  readonly conceal: ((components: KeyComponents) => KeyComponents) | undefined;
}

/** What the key of a step is made of: see KeyComponents. An input that was not made (a dry run) tells no files. */
export async function componentsOf<R>(
  {
    vertex,
    runner,
    identity,
    inputs,
  }: Omit<Step<R>, 'inputs'> & { readonly inputs: readonly (R | undefined)[] },
  { vertexOf, signal, conceal }: ComponentsAbout,
): Promise<KeyComponents> {
  const { op, meta } = vertex;
  const own = runner.describe?.(op) ?? { values: [], mounts: [], options: [] };
  const variables = (meta.variables ?? []).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  const whole: KeyComponents = {
    ...own,
    values: [...new Map([...variables, ...own.values])],
    text: instructionOf(meta.name),
    inputs: await Promise.all(
      vertex.inputs.map(async (digest, index) => {
        const below = vertexOf(digest);
        const input = inputs[index];
        const key = identity.inputs[index];
        const files = input === undefined ? undefined : await runner.inputFiles?.(op, index, input, signal);
        const image =
          below.op.kind === 'image' ? { reference: below.op.reference, digest: below.op.digest } : undefined;
        return {
          name: below.meta.name,
          ...(key === undefined ? {} : { key }),
          ...(image === undefined ? {} : { image }),
          ...(files === undefined ? {} : { files }),
        };
      }),
    ),
  };
  const clean = conceal === undefined ? whole : conceal(whole);
  return {
    ...clean,
    text: shortened(clean.text),
    values: clean.values.map(([name, value]) => [name, looksSecret(name) ? hashOf(value) : shortened(value)]),
    mounts: clean.mounts.map(shortPair),
    options: clean.options.map(shortPair),
  };
}

/** `RUN make` of `[build 2/5] RUN make`: the number of a step says nothing about it. */
export function instructionOf(name: string): string {
  return name.replace(/^\[[^\]]*\] /, '');
}

function shortPair([name, value]: Named[number]): Named[number] {
  return [name, shortened(value)];
}

function shortened(value: string): string {
  return value.length <= longestValue ? value : `${value.slice(0, longestValue / 2)}… ${hashOf(value)}`;
}

function hashOf(value: string): string {
  return `#${digestOf(value).slice('sha256:'.length, 'sha256:'.length + 12)}`;
}
