import { Command, Option } from 'commander';
import { addCredential, addMirror, hostsOf, parseChoice } from './values.ts';
import type { CommonFlags } from './context.ts';
import type { ProgressMode } from './progress.ts';

/** The parts that command definitions are made of. Flags that are lists keep their texts; `build-options.ts` reads them. */

/** For flags that may be given many times. */
export function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** A flag with a value that may be given many times. */
export function listOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser(collect);
}

/** A verb's command with the options that all have: --root, -D. */
export function newCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .helpOption('-h, --help', 'show this help')
    .option('--root <directory>', 'where images and the cache are kept')
    .option('-D, --debug', 'tell more about warnings and errors')
    .allowExcessArguments(false);
}

/** --runtime and --isolation: where steps run. */
export function addSandboxFlags(command: Command): Command {
  return command
    .option('--runtime <name>', 'runc, crun, youki, embedded or a path (default: the first that works)')
    .addOption(
      new Option(
        '--isolation <mode>',
        'default, or chroot: no sandbox, for a container that allows none',
      ).argParser((text) => parseChoice(text, '--isolation', ['default', 'chroot'] as const)),
    );
}

/** How registries are reached, for verbs that do no more than speak to one. */
export function addReachOptions(command: Command): Command {
  return command
    .addOption(
      listOption('--ca <file>', 'trust the certificate authorities of this PEM file too (repeatable)'),
    )
    .addOption(
      new Option(
        '--insecure-registry <host>',
        'speak plain HTTP, or TLS without checks, with this registry (repeatable)',
      ).argParser(hostsOf('--insecure-registry', 'many')),
    )
    .option('--insecure', 'speak so with every registry')
    .addOption(
      new Option(
        '--trusted-realm <host>',
        'let this token server of another host see credentials (repeatable)',
      ).argParser(hostsOf('--trusted-realm', 'one')),
    )
    .addOption(
      listOption(
        '--hosts-dir <directory>',
        'hosts.toml files are here, not in /etc/containerd/certs.d (repeatable)',
      ),
    )
    .option('--buildkitd-config <file>', 'mirrors and hosts are those of this buildkitd.toml')
    .option(
      '--no-registry-files',
      'read no configuration files of containerd, BuildKit, containers and docker',
    );
}

/** For verbs that read in registries: from mirrors too, with credentials. */
export function addReadOptions(command: Command): Command {
  return addReachOptions(
    command.addOption(
      new Option(
        '--creds <[registry=]user:password>',
        'for this registry; without one: for that of the image named here (repeatable)',
      ).argParser(addCredential),
    ),
  )
    .addOption(
      new Option(
        '--registry-mirror <[host=]mirror>',
        'pull from here first; without host: for docker.io (repeatable)',
      ).argParser(addMirror),
    )
    .option('--skip-default-registry-fallback', 'ask mirrors alone, not the registry that they stand for');
}

/** For verbs that push layers as well. */
export function addRegistryOptions(command: Command): Command {
  return addReadOptions(command).addOption(
    new Option(
      '--allow-nondistributable-artifacts <host>',
      'push layers to this registry whose licence may forbid it (repeatable)',
    ).argParser(hostsOf('--allow-nondistributable-artifacts', 'many')),
  );
}

/** --progress and -q. */
export function addProgressOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--progress <mode>', 'auto, plain, tty, quiet, rawjson or none')
        .argParser((text) => parseChoice(text, '--progress', progressModes))
        .default(undefined),
    )
    .option('-q, --quiet', 'no progress; only the result on stdout');
}

export const progressModes: readonly ProgressMode[] = ['auto', 'plain', 'tty', 'quiet', 'rawjson', 'none'];

export interface ProgressFlags extends CommonFlags {
  readonly progress?: ProgressMode | undefined;
  readonly quiet?: boolean | undefined;
}
