import { BuildError } from '../util/build-error.ts';
import type { StepMount, StepRequest } from './step.ts';

/** L-MNT-4 */
const MAX_SECRET = 500 * 1024;

/** The value of a secret mount; undefined: the step does without. Throws SECRET_MISSING where it must not, and for one that is too large. */
export async function secretOf(
  request: Pick<StepRequest, 'secrets'>,
  { id, required }: Extract<StepMount, { type: 'secret' }>,
): Promise<Uint8Array | undefined> {
  const value = await request.secrets.get(id);
  if (value === undefined) {
    if (required) throw missing(`secret \`${id}\``, `--secret id=${id},src=<file>`);
    return undefined;
  }
  if (value.length > MAX_SECRET)
    throw new BuildError('SECRET_MISSING', `secret \`${id}\` has more than ${MAX_SECRET} bytes`);
  return value;
}

/** A secret as the value of a variable. */
export function secretText(id: string, value: Uint8Array): string {
  const text = Buffer.from(value).toString('utf8');
  if (text.includes('\0'))
    throw new BuildError('SECRET_MISSING', `secret \`${id}\` has a NUL byte and fits no variable`);
  return text;
}

/** The host's socket of an ssh mount; undefined: the step does without. Throws SECRET_MISSING where it must not. */
export function agentSocketOf(
  { sshSockets }: Pick<StepRequest, 'sshSockets'>,
  { id, required }: Extract<StepMount, { type: 'ssh' }>,
): string | undefined {
  const socket = Object.hasOwn(sshSockets, id) ? sshSockets[id] : undefined;
  if (socket === undefined && required) throw missing(`ssh agent \`${id}\``, `--ssh ${id}`);
  return socket;
}

function missing(what: string, flag: string): BuildError {
  return new BuildError('SECRET_MISSING', `${what} is required by the step and was not given`, {
    hint: `give it with ${flag}`,
  });
}
