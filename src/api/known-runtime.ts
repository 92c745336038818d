import { BuildError } from '../util/build-error.ts';

/**
 * The runtime that was asked for: a known name, or the absolute path of a program. Throws USAGE for anything else, whether a step needs it
 * or not. Whether it works is found out when one does.
 */
export async function knownRuntime(requested: string | undefined): Promise<string | undefined> {
  if (requested === undefined) return undefined;
  // Imported only for those who ask: a cached build starts without.
  const [{ posix }, { ociRuntimeNames }, { findProgram }] = await Promise.all([
    import('node:path'),
    import('../executor/oci-runtime.ts'),
    import('../host/probe.ts'),
  ]);
  const names = [...ociRuntimeNames, 'embedded'];
  if (names.includes(requested)) return requested;
  if (!requested.includes('/')) {
    throw new BuildError('USAGE', `there is no runtime \`${requested}\``, {
      hint: `choose one of ${names.join(', ')}, or give the path of a program`,
    });
  }
  const program = posix.resolve(requested);
  if (findProgram(program, '') !== undefined) return program;
  throw new BuildError('USAGE', `the runtime \`${requested}\` is not a program that can be executed`, {
    hint: `give the path of one, or one of ${names.join(', ')}`,
  });
}
