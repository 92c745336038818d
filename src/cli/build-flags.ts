import { Option } from 'commander';
import type { Command } from 'commander';
import type { BuildOptions } from '../index.ts';
import type { LimitFlags } from './limit-flags.ts';
import { addLimitFlags } from './limit-flags.ts';
import { addSandboxFlags, listOption } from './options.ts';
import type { ProgressFlags } from './options.ts';
import { networkModes, parseBytes, parseChoice, parseEpoch, parseTimeout, parseWhole } from './values.ts';

/** What `tsbuild graph` and `tsbuild build` share: all that decides which steps there are. */
export interface PlanFlags extends ProgressFlags {
  readonly file?: string | undefined;
  readonly buildArg?: readonly string[] | undefined;
  readonly buildArgFile?: readonly string[] | undefined;
  readonly target?: string | undefined;
  readonly platform?: readonly string[] | undefined;
  readonly buildContext?: readonly string[] | undefined;
  readonly contextModes?: 'git' | undefined;
  readonly label?: readonly string[] | undefined;
  readonly annotation?: readonly string[] | undefined;
  readonly pull?: string | undefined;
  readonly addHost?: readonly string[] | undefined;
  readonly shmSize?: number | undefined;
  readonly ulimit?: readonly string[] | undefined;
  readonly network?: BuildOptions['network'];
  readonly allow?: readonly string[] | undefined;
  readonly sourceDateEpoch?: number | undefined;
}

/** The flags of `tsbuild build` as commander hands them over. */
export interface BuildFlags extends PlanFlags, LimitFlags {
  readonly tag?: readonly string[] | undefined;
  /** False with --no-cache. */
  readonly cache?: boolean | undefined;
  /** --no-cache-filter; commander drops the `no` of the name, and without a default takes it for true. */
  readonly cacheFilter?: readonly string[] | undefined;
  readonly noCacheFrom?: number | undefined;
  readonly dryRun?: boolean | undefined;
  readonly cacheFrom?: readonly string[] | undefined;
  readonly cacheTo?: readonly string[] | undefined;
  readonly cacheMountsFrom?: readonly string[] | undefined;
  readonly cacheMountsTo?: readonly string[] | undefined;
  readonly secret?: readonly string[] | undefined;
  readonly ssh?: readonly string[] | undefined;
  readonly output?: readonly string[] | undefined;
  readonly push?: boolean | undefined;
  /** '' without a value. */
  readonly load?: string | undefined;
  readonly check?: boolean | undefined;
  readonly call?: string | undefined;
  readonly iidfile?: string | undefined;
  readonly metadataFile?: string | undefined;
  readonly runtime?: string | undefined;
  readonly isolation?: BuildOptions['isolation'];
  readonly onFail?: 'shell' | undefined;
  readonly timeout?: number | undefined;
  readonly storeLimit?: number | undefined;
  /** False with --no-gc. */
  readonly gc?: boolean | undefined;
  readonly logfile?: string | undefined;
  readonly parallelism?: number | undefined;
  readonly jobs?: number | undefined;
}

/** Adds the flags of `PlanFlags`. */
export function addPlanFlags(command: Command): Command {
  return command
    .option(
      '-f, --file <path>',
      'the Dockerfile: a path, a URL or - for stdin (default: Dockerfile in the context)',
    )
    .addOption(
      listOption(
        '--build-arg <name[=value]>',
        'set an ARG; without a value: from the environment (repeatable)',
      ),
    )
    .addOption(
      listOption(
        '--build-arg-file <path>',
        'lines of name=value; what --build-arg says counts more (repeatable)',
      ),
    )
    .option('--target <stage>', 'the stage to build')
    .addOption(
      listOption(
        '--platform <os/arch>',
        'build for this platform (default: DOCKER_DEFAULT_PLATFORM, else this host)',
      ),
    )
    .addOption(
      listOption(
        '--build-context <name=where>',
        'a further context: directory, URL, docker-image:// or oci-layout:// (repeatable)',
      ),
    )
    .addOption(
      new Option(
        '--context-modes <git>',
        '`git`: only 0644 and 0755 for files of contexts, whatever the umask of a checkout was',
      ).argParser((text) => parseChoice(text, '--context-modes', ['git'] as const)),
    )
    .addOption(listOption('--label <name=value>', 'set a label of the image (repeatable)'))
    .addOption(listOption('--annotation <name=value>', 'set an annotation of the manifest (repeatable)'))
    .option(
      '--pull [when]',
      'ask registries for base images: always (also without a word), missing (the default), never, newer',
    )
    .addOption(listOption('--add-host <name:ip>', 'add a line to /etc/hosts of RUN steps (repeatable)'))
    .addOption(
      new Option('--shm-size <bytes>', 'size of /dev/shm in RUN steps, such as 64m').argParser(parseBytes),
    )
    .addOption(
      listOption('--ulimit <name=soft[:hard]>', 'limit of RUN steps, such as nofile=1024:2048 (repeatable)'),
    )
    .addOption(
      new Option('--network <mode>', 'network of RUN steps: default, isolated, none or host').argParser(
        (text) => parseChoice(text, '--network', networkModes),
      ),
    )
    .addOption(
      listOption('--allow <right>', 'grant network.host, security.insecure or secret.leak (repeatable)'),
    )
    .addOption(
      new Option(
        '--source-date-epoch <seconds>',
        'the time in the image (default: SOURCE_DATE_EPOCH)',
      ).argParser((text) => parseEpoch(text, '--source-date-epoch')),
    );
}

/** --secret and --ssh. */
export function addSecretFlags(command: Command): Command {
  return command
    .addOption(
      listOption(
        '--secret <id=name[,src=file|,env=variable]>',
        'a secret for RUN --mount=type=secret (repeatable)',
      ),
    )
    .addOption(
      listOption('--ssh <id[=path]>', 'an agent socket or keys for RUN --mount=type=ssh (repeatable)'),
    );
}

/** Adds all flags of a build. */
export function addBuildFlags(command: Command): Command {
  command.addOption(listOption('-t, --tag <name[:tag]>', 'name of the image (repeatable)'));
  const count = (text: string): number => parseWhole(text, '--parallelism', 1);
  addCacheFlags(addLimitFlags(addPlanFlags(command)));
  addSecretFlags(command)
    .addOption(
      listOption(
        '--cache-from <type=…|reference>',
        'a cache of another machine: registry, local, gha or s3 (repeatable)',
      ),
    )
    .addOption(
      listOption(
        '--cache-to <type=…|reference>',
        'keep the steps for other machines: registry, inline, local, gha or s3; mode=max (repeatable)',
      ),
    )
    .addOption(
      listOption(
        '--cache-mounts-from <type=…|reference>',
        'content of cache mounts of another machine: registry or local (repeatable)',
      ),
    )
    .addOption(
      listOption(
        '--cache-mounts-to <type=…|reference>',
        'keep the cache mounts for other machines: registry or local (repeatable)',
      ),
    )
    .addOption(
      listOption(
        '-o, --output <type=…,dest=…>',
        'oci, docker, tar, local, image, registry or cacheonly; or a directory, or - (repeatable)',
      ),
    )
    .option('--push', 'push the image: -o type=registry')
    .option('--load [engine]', 'load the image into podman or docker as well (--load=docker)')
    .option('--call <name>', 'tell of the Dockerfile instead: check, outline, targets; ,format=json for JSON')
    .option('--check', 'check the Dockerfile instead: --call=check')
    .option('--dry-run', 'tell which steps would be run, and why, and run nothing')
    .option('--iidfile <path>', 'write the image id to this file')
    .option('--metadata-file <path>', 'write what was built to this file, as JSON')
    .addOption(
      new Option('--on-fail <what>', '`shell`: open one where a step has failed').argParser((text) =>
        parseChoice(text, '--on-fail', ['shell'] as const),
      ),
    )
    .addOption(
      new Option('--timeout <duration>', 'end the build after so long, such as 90s or 1h30m').argParser(
        parseTimeout,
      ),
    )
    .addOption(
      new Option(
        '--store-limit <bytes>',
        'what the store may take, such as 50g: looked at before each step',
      ).argParser(parseBytes),
    )
    .option('--no-gc', 'do not prune the store, which a build does once a day at most')
    .option('--logfile <path>', 'write the whole output of all steps to a file too')
    .addOption(new Option('--parallelism <n>', 'steps that may run at once').argParser(count))
    .addOption(new Option('--jobs <n>').argParser(count).hideHelp());
  addSandboxFlags(command);
  for (const flag of oldFlags) command.addOption(oldFlagOption(flag));
  return command;
}

/** Which steps are run anew. */
export function addCacheFlags(command: Command): Command {
  const from = new Option(
    '--no-cache-from <line>',
    'run the instruction on this line anew, the later ones of its stage and what depends on them',
  ).argParser((text) => parseWhole(text, '--no-cache-from', 1));
  // Commander takes it for the negation of --cache-from, which it is not.
  from.negate = false;
  return command
    .option('--no-cache', 'run every step anew')
    .addOption(
      listOption('--no-cache-filter <stage>', 'run the steps of this stage anew (repeatable)').default(
        [],
        'none',
      ),
    )
    .addOption(from);
}

interface OldFlag {
  readonly flags: string;
  /** What is said about it; undefined when it asks for what is done anyway. */
  readonly note: 'no effect' | 'not in this version';
  /** Values that need no note: they ask for what is so anyway. */
  readonly quietFor?: readonly string[];
}

const oldFlags: readonly OldFlag[] = [
  { flags: '--rm', note: 'no effect' },
  { flags: '--force-rm', note: 'no effect' },
  { flags: '--compress', note: 'no effect' },
  { flags: '--cgroup-parent <name>', note: 'no effect' },
  { flags: '--security-opt <option>', note: 'no effect' },
  { flags: '--squash', note: 'not in this version' },
  { flags: '--disable-content-trust', note: 'no effect' },
  { flags: '--builder <name>', note: 'no effect' },
  { flags: '--provenance <value>', note: 'not in this version', quietFor: ['false'] },
  { flags: '--attest <value>', note: 'not in this version' },
  { flags: '--sbom <value>', note: 'not in this version', quietFor: ['false'] },
];

function oldFlagOption({ flags }: OldFlag): Option {
  const option = flags.includes('<') ? listOption(flags, '') : new Option(flags);
  return option.hideHelp();
}

/** One line per old or unknown-to-us flag of docker that was given: it is accepted, but does nothing. */
export function oldFlagNotes(values: Readonly<Record<string, unknown>>): readonly string[] {
  const notes: string[] = [];
  for (const { flags, note, quietFor } of oldFlags) {
    const option = new Option(flags);
    const value = values[option.attributeName()];
    if (value === undefined || value === false) continue;
    if (Array.isArray(value) && value.every((text) => quietFor?.includes(String(text)) === true)) continue;
    notes.push(
      `${option.long} is accepted, but ${note === 'no effect' ? 'has no effect here' : 'is not in this version'}`,
    );
  }
  return notes;
}
