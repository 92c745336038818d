import { defaultStoreRoot, openStore } from '../store/store.ts';
import type { CommonOptions, DoctorReport } from './types.ts';

/** What this host can do, and what is missing for more. Changes nothing but the remembered trial runs of the runtimes. */
export async function doctor(options: CommonOptions = {}): Promise<DoctorReport> {
  const env = options.env ?? process.env;
  // Says at once when the store cannot be made; the trial runs are remembered in it.
  await using store = await openStore(options.root ?? defaultStoreRoot(env));
  const { inspectHost } = await import('../executor/doctor.ts');
  return await inspectHost({ root: store.root, env });
}
