import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { command, must } from './cli.ts';
import { projectRoot } from './paths.ts';

const leftOut = ['.git', 'dist', 'examples', 'golden', 'node_modules', 'test'];

/** Packs the package as it would be published, from a copy of the checkout without dist; returns the tarball's path. */
export async function packPackage(folder: string): Promise<string> {
  const checkout = join(folder, 'checkout');
  mkdirSync(checkout);
  for (const name of readdirSync(projectRoot).filter((item) => !leftOut.includes(item))) {
    cpSync(join(projectRoot, name), join(checkout, name), { recursive: true });
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(checkout, 'node_modules'));
  // `npm pack` compiles, by the script `prepare`.
  await must(command('npm', ['pack', '--pack-destination', folder], { cwd: checkout }));
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error('npm pack made no tarball');
  return join(folder, tarball);
}
