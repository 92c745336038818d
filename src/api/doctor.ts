import { BuildError } from '../util/build-error.ts';
import { withSession } from './session.ts';
import { openSteps } from './steps/open-steps.ts';
import type { CommonOptions, DoctorCheck, DoctorReport } from './types.ts';

/** What this host can do, and what is missing for more. Changes nothing but the remembered trial runs of the runtimes. */
export function doctor(options: CommonOptions = {}): Promise<DoctorReport> {
  return withSession(options, async (session) => {
    const [{ inspectHost }, { chrootRung, findRung, rungCheck }] = await Promise.all([
      import('../executor/doctor.ts'),
      import('./steps/rung.ts'),
    ]);
    const checks: DoctorCheck[] = await inspectHost(session.env);
    try {
      await using steps = await openSteps(session, { layerStore: session.layerStore(), runtime: undefined });
      const { checks: found, runtime } = await steps.inspectRuntimes();
      const verdict: Omit<DoctorCheck, 'name'> =
        runtime === undefined
          ? { status: 'missing', detail: 'no runtime works here', fix: 'install crun' }
          : { status: 'ok', detail: runtime };
      const next = checks.find(({ name }) => name === 'subordinate ids')?.fix;
      checks.push(...found, { name: 'rung', ...rungCheck(findRung(session.env), next) });
      return { checks: [...checks, { name: 'runtime of RUN', ...verdict }], runtime };
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      const { message, hint } = error;
      const { chrootProblem } = await import('../executor/chroot/chroot-executor.ts');
      if (chrootProblem() === undefined) checks.push({ name: 'rung', ...chrootRung });
      checks.push({ name: 'runtime of RUN', status: 'missing', detail: message, fix: hint });
      return { checks, runtime: undefined };
    }
  });
}
