// Run as a process of its own: does a step unless another process has done it, says which, and can be told to die in the middle.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalCache } from '../../src/cache/local.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { openStore } from '../../src/store/store.ts';

const [root = '', log = '', how] = process.argv.slice(2);
await using store = await openStore(root);
const cache = createLocalCache<string>({
  store,
  encode: (result) => result,
  decode: (data) => Promise.resolve(typeof data === 'string' ? data : undefined),
});
const key = digestOf('step');
const claim = await cache.claim(key, new AbortController().signal);
if ('result' in claim) {
  process.stdout.write(`found ${claim.result}`);
} else {
  appendFileSync(log, `${process.pid}\n`);
  if (how === 'die') process.kill(process.pid, 'SIGKILL');
  await sleep(50);
  await cache.record(key, `by ${process.pid}`, { opKey: key, inputs: [], kind: 'exec', name: 'step' });
  await claim.lease[Symbol.asyncDispose]();
  process.stdout.write(`done by ${process.pid}`);
}
