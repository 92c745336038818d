import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { dockerArchiveEntries } from '../image/docker-archive.ts';
import { writeTar } from '../image/tar.ts';
import { BuildError } from '../util/build-error.ts';
import type { Exporter } from './exporter.ts';

const engines = ['podman', 'docker'] as const;

/**
 * `--load`: hands the image to podman or docker, whichever answers first, which is found out at once: the name says which; a docker client
 * without its engine does not count. Error: LOAD_FAILED.
 */
export async function engineExporter(
  wanted: 'podman' | 'docker' | undefined,
  env: NodeJS.ProcessEnv,
): Promise<Exporter> {
  const engine = await findEngine(wanted, env);
  return {
    name: `loading into ${engine}`,
    export: async (result, context) => {
      const images = result.images.map(({ image }) => ({ image, names: context.names }));
      const child = spawn(engine, ['load'], {
        env,
        stdio: ['pipe', 'ignore', 'pipe'],
        signal: context.signal,
      });
      const messages: Buffer[] = [];
      child.stderr.on('data', (data: Buffer) => messages.push(data));
      const [exit] = await Promise.all([
        once(child, 'close') as Promise<[number | null]>,
        // The engine may stop reading early; its exit status says why.
        pipeline(writeTar(dockerArchiveEntries(images)), child.stdin).catch(
          (error: NodeJS.ErrnoException) => {
            if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
          },
        ),
      ]);
      if (exit[0] !== 0) {
        const said = Buffer.concat(messages).toString().trim().slice(-500);
        throw new BuildError('LOAD_FAILED', `${engine} load did not take the image: ${said}`, {
          hint: `try ${engine} yourself: tsbuild save IMAGE | ${engine} load`,
        });
      }
      return result.images[0]?.image.descriptor();
    },
  };
}

async function findEngine(wanted: string | undefined, env: NodeJS.ProcessEnv): Promise<string> {
  for (const engine of wanted === undefined ? engines : [wanted]) {
    const child = spawn(engine, engine === 'docker' ? ['version'] : ['--version'], { env, stdio: 'ignore' });
    const [code] = (await Promise.race([once(child, 'close'), once(child, 'error')])) as [
      number | Error | null,
    ];
    if (code === 0) return engine;
  }
  throw new BuildError('LOAD_FAILED', `${wanted ?? 'neither podman nor docker'} answers here`, {
    hint: 'install podman, start docker, or write a file: -o type=docker,dest=image.tar',
  });
}
