import { Option } from 'commander';
import type { DoctorReport } from '../../index.ts';
import { commonOptions, hasColor } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { newCommand } from '../options.ts';
import { sanitizeLine } from '../sanitize.ts';
import { styleFor } from '../style.ts';
import { parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

interface DoctorFlags extends CommonFlags {
  readonly format: 'text' | 'json';
}

/** `tsbuild doctor`: exits with 1 where no RUN step could be run. */
export const doctor: Verb = {
  define: () =>
    newCommand(
      'doctor',
      'Tells what works on this host, and what would help where something does not.',
    ).addOption(
      new Option('--format <format>', 'text or json')
        .default('text')
        .argParser((text) => parseChoice(text, '--format', ['text', 'json'] as const)),
    ),
  run: async (command, context) => {
    const flags = command.opts<DoctorFlags>();
    const library = await context.library();
    const report = await library.doctor(commonOptions(flags, context));
    const text =
      flags.format === 'json'
        ? `${JSON.stringify(report, undefined, 2)}\n`
        : render(report, hasColor(context.stdout, context.env));
    context.stdout.write(text);
    return report.runtime === undefined ? 1 : 0;
  },
};

function render(report: DoctorReport, color: boolean): string {
  const style = styleFor(color);
  const marks = {
    ok: style.green('ok     '),
    warning: style.yellow('warning'),
    missing: style.red('missing'),
  };
  const width = Math.max(0, ...report.checks.map(({ name }) => name.length));
  let out = '';
  for (const { name, status, detail, fix } of report.checks) {
    out += `${marks[status]}  ${name.padEnd(width)}  ${sanitizeLine(detail)}`.trimEnd() + '\n';
    if (fix !== undefined) out += `${' '.repeat(width + 11)}${style.cyan('= fix:')} ${sanitizeLine(fix)}\n`;
  }
  const verdict =
    report.runtime === undefined ? 'RUN steps cannot be run here' : `RUN steps use ${report.runtime}`;
  return `${out}\n${verdict}\n`;
}
