import { hasRightsOfRoot, helperPath, mappedIds } from '../../host/probe.ts';
import type { IdMap } from '../../host/userns.ts';
import { bestIdMap } from '../../host/userns.ts';
import type { DoctorCheck } from '../types.ts';

/** How steps get the rights that they need, best first. Never a weaker one than a user has was chosen without being told (S-RL). */
export type Rung =
  | { readonly name: 'root' }
  | {
      /** In a user namespace: with the ids that images have, or with one. */
      readonly name: 'subordinate-ids' | 'single-id';
      readonly map: IdMap;
      /** For helper programs. */
      readonly path: string;
    };

/** The best rung that this user may try; whether the kernel agrees is seen when a user namespace is made. */
export function findRung(env: NodeJS.ProcessEnv): Rung {
  if (hasRightsOfRoot()) return { name: 'root' };
  const path = helperPath(env);
  const { map } = bestIdMap(path);
  return { name: map.kind === 'single' ? 'single-id' : 'subordinate-ids', map, path };
}

/** The rung as doctor tells it, once steps were seen to work on it. `next` is what would give the next one. */
export function rungCheck(rung: Rung, next: string | undefined): Omit<DoctorCheck, 'name'> {
  if (rung.name === 'subordinate-ids')
    return { status: 'ok', detail: 'rootless, with the ids that images have' };
  if (rung.name === 'single-id') return { status: 'warning', detail: `rootless, but ${singleId}`, fix: next };
  const inside = mappedIds() !== undefined;
  return { status: 'ok', detail: inside ? 'root of the user namespace that this is in' : 'root' };
}

/** What a single id means for the steps of a build. */
export const singleId =
  'with a single id: no other user can be become in a step, and owners of files are only written down';

/** The last one, which only a flag gives. */
export const chrootRung: Omit<DoctorCheck, 'name'> = {
  status: 'warning',
  detail: 'this container allows no sandbox; Dockerfiles that are trusted build with --isolation=chroot',
  fix: 'start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined',
};
