import type { Duplex } from 'node:stream';

// The ssh-agent protocol (draft-ietf-sshm-ssh-agent): each message is a length of four bytes, a type of one, and its body. One side
// asks, the other answers in the same order.

export const FAILURE = 5;
export const REQUEST_IDENTITIES = 11;
export const IDENTITIES_ANSWER = 12;
export const SIGN_REQUEST = 13;
export const SIGN_RESPONSE = 14;
const EXTENSION = 27;

/** As in OpenSSH: no message is longer. */
const MAX_MESSAGE = 256 * 1024;

/** Narrows what the keys of an agent may be used for on this connection, and so is never in the way of anybody. */
const sessionBind = Buffer.from('\0\0\0\x18session-bind@openssh.com', 'latin1');

/** What a step may ask of an agent: its keys and their signatures. Not to take keys in, to forget them or to lock itself. */
export function mayAsk(message: Buffer): boolean {
  const type = message[0];
  if (type === EXTENSION) return message.subarray(1, 1 + sessionBind.length).equals(sessionBind);
  return type === REQUEST_IDENTITIES || type === SIGN_REQUEST;
}

/** The one answer to what is not done. */
export const refusal: Buffer = Buffer.from([FAILURE]);

/**
 * The messages that come from a socket, without their lengths. Throws for one that is empty or too long: after it nothing can be understood.
 * The socket is destroyed when this ends.
 */
export async function* readMessages(socket: Duplex): AsyncGenerator<Buffer, void, undefined> {
  let chunks: Buffer[] = [];
  let have = 0;
  let needed = 4;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    have += chunk.length;
    if (have < needed) continue;
    let bytes = Buffer.concat(chunks);
    for (needed = 4; bytes.length >= 4; needed = 4) {
      const length = bytes.readUInt32BE(0);
      if (length === 0 || length > MAX_MESSAGE) throw new RangeError('this is no message for an ssh agent');
      needed = 4 + length;
      if (bytes.length < needed) break;
      yield bytes.subarray(4, needed);
      bytes = bytes.subarray(needed);
    }
    chunks = [bytes];
    have = bytes.length;
  }
}

/** Sends one message; resolves when the socket has taken it, so that nobody who does not read can make us keep answers. */
export function sendMessage(socket: Duplex, message: Uint8Array): Promise<void> {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return new Promise((resolve, reject) => {
    socket.write(Buffer.concat([length, message]), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/** Answers one message after the other until the socket ends. Never rejects: whatever goes wrong ends the connection. */
export async function answerAll(
  socket: Duplex,
  answer: (message: Buffer) => Promise<Uint8Array>,
): Promise<void> {
  try {
    for await (const message of readMessages(socket)) await sendMessage(socket, await answer(message));
    socket.end();
  } catch {
    socket.destroy();
  }
}
