/** One build check, as data. What finds it is text-rules.ts, or lowering where values are needed. */
export interface CheckRule {
  /** In one sentence, for lists. */
  readonly description: string;
  /** Only where `experimental=` asks for it. */
  readonly experimental?: boolean;
  /** There is no page about it. */
  readonly undocumented?: boolean;
  /** `check --fix` changes the text so that the rule is satisfied and the image stays the same. */
  readonly fixable?: boolean;
}

export type CheckName =
  | 'StageNameCasing'
  | 'FromAsCasing'
  | 'NoEmptyContinuation'
  | 'ConsistentInstructionCasing'
  | 'DuplicateStageName'
  | 'ReservedStageName'
  | 'JSONArgsRecommended'
  | 'MaintainerDeprecated'
  | 'UndefinedArgInFrom'
  | 'WorkdirRelativePath'
  | 'UndefinedVar'
  | 'MultipleInstructionsDisallowed'
  | 'LegacyKeyValueFormat'
  | 'InvalidBaseImagePlatform'
  | 'RedundantTargetPlatform'
  | 'SecretsUsedInArgOrEnv'
  | 'InvalidDefaultArgInFrom'
  | 'FromPlatformFlagConstDisallowed'
  | 'CopyIgnoredFile'
  | 'InvalidDefinitionDescription'
  | 'ExposeProtoCasing'
  | 'ExposeInvalidFormat';

/** The build checks of docker build (CK-1 to CK-22), in the order of their numbers. */
export const checkRules: Readonly<Record<CheckName, CheckRule>> = {
  StageNameCasing: { description: 'Names of stages are lower case.', fixable: true },
  FromAsCasing: { description: '`AS` is written like `FROM`, both upper or both lower case.', fixable: true },
  NoEmptyContinuation: { description: 'A continued instruction has no empty lines inside.', fixable: true },
  ConsistentInstructionCasing: {
    description: 'All names of instructions are upper case, or all are lower case.',
    fixable: true,
  },
  DuplicateStageName: { description: 'Each stage has a name of its own.' },
  ReservedStageName: { description: '`scratch` and `context` name no stage.' },
  JSONArgsRecommended: {
    description: 'CMD and ENTRYPOINT are JSON arrays, so that the process gets its signals.',
  },
  MaintainerDeprecated: { description: 'A label names the authors, not MAINTAINER.' },
  UndefinedArgInFrom: { description: 'FROM uses ARGs that are declared before the first FROM.' },
  WorkdirRelativePath: { description: 'The first WORKDIR of a stage is an absolute path.' },
  UndefinedVar: { description: 'Variables are set by an ARG, an ENV or the base image.' },
  MultipleInstructionsDisallowed: {
    description: 'A stage has one CMD, one ENTRYPOINT and one HEALTHCHECK.',
    fixable: true,
  },
  LegacyKeyValueFormat: { description: 'ENV and LABEL are written with an equals sign.', fixable: true },
  InvalidBaseImagePlatform: {
    description: 'The base image is for the platform that was asked for.',
    undocumented: true,
  },
  RedundantTargetPlatform: {
    description: 'FROM does not repeat the platform that it has anyway.',
    fixable: true,
  },
  SecretsUsedInArgOrEnv: { description: 'No secrets in ARG and ENV: both stay in the image.' },
  InvalidDefaultArgInFrom: { description: 'FROM is an image with the default values of its ARGs.' },
  FromPlatformFlagConstDisallowed: { description: 'FROM does not fix a platform.' },
  CopyIgnoredFile: { description: 'COPY and ADD name no file that the ignore file excludes.' },
  InvalidDefinitionDescription: {
    description: 'A comment above a stage or an ARG describes it: `# <name> <description>`.',
    experimental: true,
  },
  ExposeProtoCasing: { description: 'Protocols of EXPOSE are lower case.', fixable: true },
  ExposeInvalidFormat: {
    description: 'EXPOSE names ports of the container alone, not of the host.',
    fixable: true,
  },
};

/** The rule of a name; undefined for diagnostics that are no build checks. */
export function checkRule(name: string): CheckRule | undefined {
  return Object.hasOwn(checkRules, name) ? checkRules[name as CheckName] : undefined;
}

/** Docker's page about a rule; undefined where there is none. */
export function checkUrl(name: string): string | undefined {
  const rule = checkRule(name);
  if (rule === undefined || rule.undocumented === true) return undefined;
  const kebab = name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1-$2')
    .toLowerCase();
  return `https://docs.docker.com/go/dockerfile/rule/${kebab}/`;
}
