import { once } from 'node:events';
import process from 'node:process';
import { findProgram, helperPath } from '../../src/host/probe.ts';
import { bestIdMap, spawnInUserNamespace } from '../../src/host/userns.ts';

// A program of its own: runs a command as root of a user namespace, as a build does with its steps (src/api/steps/worker-steps.ts).

const path = helperPath(process.env);
const [name = '', ...args] = process.argv.slice(2);
const child = await spawnInUserNamespace([findProgram(name, path) ?? name, ...args], {
  ...{ map: bestIdMap(path).map, path, env: process.env },
});
const [code] = (await once(child, 'exit')) as [number | null];
process.exitCode = code ?? 1;
