import { chmodSync, mkdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { giveTo } from '../image/owners.ts';
import { answerAll, mayAsk, readMessages, refusal, sendMessage } from '../util/agent-protocol.ts';
import { connectTo, listenAt } from '../util/unix-socket.ts';

/** A socket that stands for an agent of the host while a step runs. */
export interface AgentSocket extends AsyncDisposable {
  readonly path: string;
}

/**
 * Listens in a new directory and asks the agent at `target` what it is asked, so that the step sees a socket with the
 * owner and mode it asked for, and the agent's own is never mounted. A step may list keys and have them sign: an agent of the user is neither
 * emptied nor filled nor locked by an image.
 */
export async function listenForAgent(
  directory: string,
  target: string,
  owner: { readonly mode: number; readonly uid: number; readonly gid: number },
): Promise<AgentSocket> {
  mkdirSync(directory, { mode: 0o700 });
  const path = join(directory, 'socket');
  const listening = await listenAt(path, (inside) => void relay(inside, target));
  giveTo(path, owner);
  chmodSync(path, owner.mode);
  return { path, [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose]() };
}

/** Never rejects: where there is no agent, or it goes away, the connection ends. */
async function relay(inside: Socket, target: string): Promise<void> {
  const outside = await connectTo(target).catch(() => undefined);
  if (outside === undefined) return void inside.destroy();
  inside.once('close', () => outside.destroy());
  outside.once('close', () => inside.end());
  const answers = readMessages(outside);
  await answerAll(inside, async (message) => {
    if (!mayAsk(message)) return refusal;
    await sendMessage(outside, message);
    const answer = await answers.next();
    if (answer.done === true) throw new Error('the agent is gone');
    return answer.value;
  });
  outside.destroy();
}
