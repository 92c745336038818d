// Run as a process of its own: holds what it is told to, says so, and waits to be killed.
import { openLeases } from '../../src/store/leases.ts';
import { lockFile } from '../../src/store/lock.ts';
import { openStore } from '../../src/store/store.ts';

const [kind, place = '', key = ''] = process.argv.slice(2);
const held =
  kind === 'lock'
    ? await lockFile(place)
    : kind === 'lease'
      ? await openLeases(place).acquire(key as `sha256:${string}`)
      : await (await openStore(place)).tempDir();
process.stdout.write(`held ${typeof held === 'string' ? held : ''}\n`);
setInterval(() => held, 1000);
