const table = {
  // Dockerfile
  DOCKERFILE_NOT_FOUND: { exit: 1, meaning: 'the Dockerfile does not exist or cannot be read' },
  DOCKERFILE_SYNTAX: { exit: 1, meaning: 'the Dockerfile is not well formed' },
  DOCKERFILE_UNKNOWN_INSTRUCTION: { exit: 1, meaning: 'a line starts with a word that is no instruction' },
  DOCKERFILE_UNKNOWN_FLAG: {
    exit: 1,
    meaning: 'an instruction has a flag, or a flag a key, that it does not know',
  },
  DOCKERFILE_UNKNOWN_STAGE: { exit: 1, meaning: 'a name refers to no stage, or to a later one' },
  DOCKERFILE_BAD_ARGUMENT: {
    exit: 1,
    meaning: 'an argument of an instruction has a value that it cannot have',
  },
  DOCKERFILE_EXPANSION: { exit: 1, meaning: 'a variable cannot be expanded' },
  CHECK_FAILED: {
    exit: 1,
    meaning: 'a build check found something, and the Dockerfile says that this is an error',
  },
  DOCKERFILE_NO_STAGE: { exit: 1, meaning: 'the Dockerfile is empty or has no FROM' },
  // Contexts and sources
  CONTEXT_NOT_FOUND: { exit: 1, meaning: 'the build context does not exist' },
  CONTEXT_INVALID: { exit: 1, meaning: 'the build context cannot be used' },
  IGNORE_FILE_INVALID: { exit: 1, meaning: 'the ignore file has a pattern that cannot be read' },
  COPY_SOURCE_MISSING: {
    exit: 1,
    meaning: 'a source of COPY or ADD is not there, or is hidden by the ignore file',
  },
  COPY_INVALID: { exit: 1, meaning: 'a COPY or ADD cannot be done with these sources and this destination' },
  PATH_OUTSIDE: { exit: 1, meaning: 'a path leaves the root that it belongs to' },
  DOWNLOAD_FAILED: { exit: 1, meaning: 'a URL could not be fetched' },
  CHECKSUM_MISMATCH: { exit: 1, meaning: 'content is not what its checksum promises' },
  GIT_FAILED: { exit: 1, meaning: 'git could not fetch or check out the repository' },
  // Images and registries
  IMAGE_NOT_FOUND: { exit: 1, meaning: 'the image is neither in the store nor in its registry' },
  IMAGE_PLATFORM: { exit: 1, meaning: 'the image has no variant for the platform' },
  IMAGE_INVALID: { exit: 1, meaning: 'a manifest, config, layer or archive is not well formed' },
  REFERENCE_INVALID: { exit: 2, meaning: 'a text is no image reference' },
  REGISTRY_UNREACHABLE: { exit: 1, meaning: 'the registry does not answer' },
  REGISTRY_UNAUTHORIZED: { exit: 1, meaning: 'the registry refuses these credentials, or asks for some' },
  REGISTRY_ERROR: { exit: 1, meaning: 'the registry answered with an error' },
  REGISTRY_UNSAFE: { exit: 1, meaning: 'the registry sent an answer that is not safe to follow' },
  REGISTRY_BLOCKED: { exit: 1, meaning: 'a configuration file of this machine forbids the registry' },
  CONFIG_INVALID: { exit: 1, meaning: 'a configuration file cannot be read or understood' },
  CREDENTIALS_INVALID: { exit: 1, meaning: 'a credential file or credential helper does not work' },
  // Steps
  STEP_FAILED: { exit: 1, meaning: 'the command of a RUN step ended with a status other than 0' },
  STEP_START: { exit: 1, meaning: 'the command of a RUN step could not be started' },
  STEP_PLATFORM: { exit: 1, meaning: 'this host cannot run programs of the platform of a RUN step' },
  USER_UNKNOWN: { exit: 1, meaning: 'a user or group name is not in the passwd or group file of the image' },
  SECRET_MISSING: { exit: 1, meaning: 'a required secret or ssh agent was not given' },
  SECRET_LEAK: { exit: 1, meaning: 'a secret of the build is in the image' },
  ENTITLEMENT_REQUIRED: { exit: 1, meaning: 'a step asks for a right that was not granted' },
  SANDBOX_UNAVAILABLE: { exit: 1, meaning: 'this host offers no way to run a step in a sandbox' },
  NETWORK_UNAVAILABLE: {
    exit: 1,
    meaning: 'an isolated network was asked for, and this host cannot give one',
  },
  UNSUPPORTED_HERE: { exit: 1, meaning: 'this cannot be done on this host or in this version' },
  // Store and output
  BUILD_NOT_FOUND: { exit: 1, meaning: 'the history has no such build, or the build no such step' },
  STORE_FAILED: { exit: 1, meaning: 'the store cannot be read or written' },
  DISK_FULL: { exit: 1, meaning: 'there is no space left on the device' },
  STORE_FULL: { exit: 1, meaning: 'the store has reached the size that it may have' },
  OUTPUT_FAILED: { exit: 1, meaning: 'the output could not be written' },
  LOAD_FAILED: { exit: 1, meaning: 'no container engine took the image' },
  USAGE: { exit: 2, meaning: 'the command line is wrong' },
  TIMEOUT: { exit: 1, meaning: 'the build took longer than it was allowed to' },
  INTERRUPTED: { exit: 130, meaning: 'the build was cancelled' },
  INTERNAL: { exit: 70, meaning: 'a bug in tsbuild' },
} as const;

export type ErrorCode = keyof typeof table;

/** Every code of a BuildError: its meaning and the command's exit status. A test checks that each is thrown somewhere. */
export const errorCodes: Readonly<Record<ErrorCode, { readonly exit: number; readonly meaning: string }>> =
  table;
