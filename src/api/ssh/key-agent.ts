import type { Duplex } from 'node:stream';
import {
  answerAll,
  IDENTITIES_ANSWER,
  refusal,
  REQUEST_IDENTITIES,
  SIGN_REQUEST,
  SIGN_RESPONSE,
} from '../../util/agent-protocol.ts';
import type { SshKey } from './key.ts';
import { WireReader, wireString, wireUint32 } from './wire.ts';

/**
 * Serves keys to one connection in the ssh-agent protocol: lists them, signs with them, and refuses everything else. Comments are empty: a
 * step learns nothing of where the keys are. Never rejects.
 */
export function serveKeys(socket: Duplex, keys: readonly SshKey[]): Promise<void> {
  return answerAll(socket, (message) => answer(message, keys));
}

async function answer(message: Buffer, keys: readonly SshKey[]): Promise<Buffer> {
  if (message[0] === REQUEST_IDENTITIES)
    return Buffer.concat([
      Buffer.of(IDENTITIES_ANSWER),
      wireUint32(keys.length),
      ...keys.flatMap(({ publicBlob }) => [wireString(publicBlob), wireString('')]),
    ]);
  if (message[0] !== SIGN_REQUEST) return refusal;
  const request = new WireReader(message.subarray(1));
  const blob = request.string();
  const data = request.string();
  const flags = request.uint32();
  const signature = await keys.find(({ publicBlob }) => publicBlob.equals(blob))?.sign(data, flags);
  return signature === undefined ? refusal : Buffer.concat([Buffer.of(SIGN_RESPONSE), wireString(signature)]);
}
