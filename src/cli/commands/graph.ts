import { Option } from 'commander';
import { addPlanFlags } from '../build-flags.ts';
import type { PlanFlags } from '../build-flags.ts';
import { planOptions } from '../build-options.ts';
import { contextWord } from '../context-word.ts';
import { addProgressOptions, addReadOptions, newCommand } from '../options.ts';
import { chooseProgress, withProgress } from '../progress.ts';
import { parseChoice } from '../values.ts';
import type { Verb } from '../verbs.ts';

const formats = ['text', 'json', 'dot', 'mermaid'] as const;

interface GraphFlags extends PlanFlags {
  readonly format: (typeof formats)[number];
}

/** `tsbuild graph`: the build's steps on stdout. Resolves base images, runs nothing. */
export const graph: Verb = {
  define: () => {
    const command = newCommand(
      'graph',
      'Shows the steps of a build and how they depend on each other, without running them.',
    )
      .usage('[options] PATH | URL | -')
      .argument('[words...]')
      .addOption(
        new Option('--format <format>', 'text, json, dot or mermaid')
          .default('text')
          .argParser((text) => parseChoice(text, '--format', formats)),
      );
    return addReadOptions(addProgressOptions(addPlanFlags(command)));
  },
  run: async (command, context) => {
    const flags = command.opts<GraphFlags>();
    const options = planOptions(flags, contextWord(command.args, { verb: 'graph' }).context, context);
    const library = await context.library();
    // Without a wish nothing is shown but a failure: resolving is quick, and the graph is what was asked for.
    const mode = flags.progress === undefined ? 'none' : chooseProgress(flags, context);
    const text = await withProgress({ mode, debug: flags.debug === true }, context, (emit) =>
      library.graph({ ...options, format: flags.format, onEvent: emit }),
    );
    context.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
    return 0;
  },
};
