import type { Diagnostic } from '../util/diagnostic.ts';
import { didYouMean } from '../util/suggest.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform } from '../oci/platform.ts';
import { familiarReference, parseReference } from '../oci/reference.ts';

/** A --build-context: files, or an image. */
export type NamedContext =
  | { readonly kind: 'tree' }
  /** `reference` may be `scratch`, the empty image. */
  | { readonly kind: 'image'; readonly reference: string };

/** Names that no build context can take over: the empty image, and the main context. */
const reserved = new Set(['scratch', 'context']);

/**
 * The --build-context for a name (L-FROM-3): the one for the platform (`name::os/arch`) first, then that of the name alone. Names are
 * compared as written, and as images in their short form: `alpine`, `alpine:latest` and `docker.io/library/alpine` are one.
 */
export function findContext(
  contexts: Readonly<Record<string, NamedContext>>,
  name: string,
  platform: Platform,
): { readonly name: string; readonly context: NamedContext } | undefined {
  if (reserved.has(name.toLowerCase())) return undefined;
  const entries = Object.entries(contexts);
  if (entries.length === 0) return undefined;
  const suffix = `::${formatPlatform(platform)}`;
  const wanted = shortName(name);
  for (const end of [suffix, '']) {
    const found =
      entries.find(([key]) => key === `${name}${end}`) ??
      entries.find(
        ([key]) => key.endsWith(end) && shortName(key.slice(0, key.length - end.length)) === wanted,
      );
    if (found !== undefined) return { name: found[0], context: found[1] };
  }
  return undefined;
}

/**
 * A warning for each --build-context that nothing in the file could mean, in any stage. `names`: all that FROM and `--from` say, and stages are
 * called; `used`: contexts that were found, for triggers of base images too.
 */
export function unusedContexts(
  contexts: Readonly<Record<string, NamedContext>>,
  { names, used }: { readonly names: Iterable<string>; readonly used: ReadonlySet<string> },
): readonly Diagnostic[] {
  const all = Object.keys(contexts);
  if (all.length === 0) return [];
  const said = new Set([...names].flatMap((name) => [name, shortName(name)]));
  return all
    .filter((key) => !used.has(key))
    .flatMap((key) => {
      const name = key.replace(/::[^:]*$/, '');
      if (said.has(name) || said.has(shortName(name))) return [];
      const hint = didYouMean(name, said);
      return [
        {
          severity: 'warning',
          rule: 'UnusedBuildContext',
          message: `no FROM and no --from takes the build context \`${name}\``,
          ...(hint === undefined ? {} : { hint }),
        },
      ];
    });
}

function shortName(name: string): string {
  try {
    return familiarReference(parseReference(name)).replace(/:latest$/, '');
  } catch {
    // A context may have a name that no image could have: a stage's, in any case.
    return name.toLowerCase();
  }
}
