import { lstatSync, mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listenForAgent } from '../../src/executor/ssh-agent.ts';
import { tempFolder } from '../support/temp.ts';

const owner = { mode: 0o600, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

function ask(path: string, question: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(path, () => socket.end(question));
    socket.on('data', (data) => (answer += String(data)));
    socket.on('error', (error) => resolve((error as NodeJS.ErrnoException).code ?? ''));
    socket.on('close', () => resolve(answer));
  });
}

describe.runIf(process.platform === 'linux')('the socket that stands for an agent', () => {
  test('passes connections on, and is closed with all of them at the end', async () => {
    await using folder = await tempFolder();
    const target = join(folder.path, 'agent');
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => {
      server.listen(target, resolve);
    });
    const agent = await listenForAgent(join(folder.path, 'a'), target, owner);
    expect(lstatSync(agent.path).mode & 0o7777).toBe(0o600);
    expect(await ask(agent.path, 'hello')).toBe('hello');
    const hanging = connect(agent.path);
    const closed = new Promise((resolve) => {
      hanging.once('close', resolve);
    });
    hanging.on('error', () => {});
    await ask(agent.path, 'again');
    await agent[Symbol.asyncDispose]();
    await closed;
    expect(await ask(agent.path, 'late')).toMatch(/^(ENOENT|ECONNREFUSED)$/);
    server.close();
  });

  test('lies as deep as the store does: longer than a socket name may be', async () => {
    await using folder = await tempFolder();
    const deep = join(folder.path, 'x'.repeat(60), 'y'.repeat(60));
    mkdirSync(deep, { recursive: true });
    const agent = await listenForAgent(join(deep, 'a'), '/nowhere', owner);
    expect(agent.path.length).toBeGreaterThan(120);
    expect(lstatSync(agent.path).isSocket()).toBe(true);
    await agent[Symbol.asyncDispose]();
  });
});
