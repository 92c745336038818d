import { lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listenForAgent } from '../../src/executor/ssh-agent.ts';
import { answerAll, readMessages, sendMessage } from '../../src/util/agent-protocol.ts';
import { connectTo, listenAt } from '../../src/util/unix-socket.ts';
import { tempFolder } from '../support/temp.ts';

const owner = { mode: 0o600, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const bind = 'session-bind@openssh.com';

function extension(name: string): Buffer {
  return Buffer.concat([Buffer.of(27, 0, 0, 0, name.length), Buffer.from(name), Buffer.from('more')]);
}

/** Sends all messages at once and gives what is answered until the other side ends. */
async function ask(path: string, messages: readonly Buffer[]): Promise<readonly Buffer[]> {
  const socket = await connectTo(path);
  const answers: Buffer[] = [];
  const sent = Promise.all(messages.map((message) => sendMessage(socket, message)));
  const ended = (error: NodeJS.ErrnoException): void => expect(error.code).toMatch(/^(EPIPE|ECONNRESET)$/);
  const read = async (): Promise<void> => {
    for await (const answer of readMessages(socket)) if (answers.push(answer) === messages.length) break;
  };
  await Promise.all([sent.catch(ended), read().catch(ended)]);
  return answers;
}

describe.runIf(process.platform === 'linux')('the socket that stands for an agent', () => {
  test('asks for keys and signatures, in order, and for nothing that changes the agent', async () => {
    await using folder = await tempFolder();
    await using agents = new AsyncDisposableStack();
    const target = join(folder.path, 'agent');
    const heard: Buffer[] = [];
    agents.use(
      await listenAt(target, (socket) => {
        void answerAll(socket, (message) => {
          heard.push(message);
          return Promise.resolve(Buffer.concat([Buffer.of(100), message]));
        });
      }),
    );
    const socket = await listenForAgent(join(folder.path, 'a'), target, owner);
    expect(lstatSync(socket.path).mode & 0o7777).toBe(0o600);
    const large = Buffer.concat([Buffer.of(13), Buffer.alloc(200_000, 1)]);
    const passed = [Buffer.of(11), Buffer.of(13, 1), large, extension(bind)];
    const refused = [
      ...Array.from({ length: 256 }, (_, type) => Buffer.of(type)).filter(
        ([type]) => type !== 11 && type !== 13,
      ),
      ...['query', `${bind}x`, bind.slice(1), 'restrict-destination-v00@openssh.com'].map(extension),
    ];
    const mixed = passed.flatMap((message) => [refused, message].flat());
    const answers = await ask(socket.path, mixed);
    expect(answers.filter((answer) => answer[0] === 100)).toEqual(
      passed.map((message) => Buffer.concat([Buffer.of(100), message])),
    );
    expect(answers.map(([type]) => type)).toEqual(passed.flatMap(() => [...refused.map(() => 5), 100]));
    expect(heard).toEqual(passed);
    await socket[Symbol.asyncDispose]();
  });

  test('is closed with all its connections at the end, and closes them when the agent goes', async () => {
    await using folder = await tempFolder();
    await using agents = new AsyncDisposableStack();
    const target = join(folder.path, 'agent');
    const silent = await listenAt(target, () => {});
    const socket = await listenForAgent(join(folder.path, 'a'), target, owner);
    const waiting = ask(socket.path, [Buffer.of(11)]);
    // Has it arrived? A second one that is refused is answered by the socket itself.
    expect(await ask(socket.path, [Buffer.of(19)])).toEqual([Buffer.of(5)]);
    await silent[Symbol.asyncDispose]();
    expect(await waiting).toEqual([]);
    expect(await ask(socket.path, [Buffer.of(11)])).toEqual([]);
    agents.use(await listenAt(target, () => {}));
    const hanging = ask(socket.path, [Buffer.of(11)]);
    expect(await ask(socket.path, [Buffer.of(19)])).toEqual([Buffer.of(5)]);
    await socket[Symbol.asyncDispose]();
    expect(await hanging).toEqual([]);
    await expect(connectTo(socket.path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('lies as deep as the store does: longer than a socket name may be', async () => {
    await using folder = await tempFolder();
    await using agents = new AsyncDisposableStack();
    const deep = join(folder.path, 'x'.repeat(60), 'y'.repeat(60));
    mkdirSync(deep, { recursive: true });
    const agent = join(deep, 'agent');
    agents.use(
      await listenAt(agent, (socket) => {
        void answerAll(socket, (message) => Promise.resolve(message));
      }),
    );
    const socket = await listenForAgent(join(deep, 'a'), agent, owner);
    expect(socket.path.length).toBeGreaterThan(120);
    expect(lstatSync(socket.path).isSocket()).toBe(true);
    expect(await ask(socket.path, [Buffer.of(11)])).toEqual([Buffer.of(11)]);
    await socket[Symbol.asyncDispose]();
  });
});
