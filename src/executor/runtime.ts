/** What runs a bundle of the OCI runtime-spec (config.json and a root filesystem): one program of the host, or the embedded one. */
export interface Runtime {
  /** 'runc', 'crun', 'youki', 'embedded', or the path of a program. */
  readonly name: string;
  /** Namespaces that the process around it has to make, as options of unshare(1), since the runtime does not make them itself. */
  namespaces(network: 'own' | 'given'): readonly string[];
  /** The command line that runs the bundle to its end, with the step's status as its own. */
  command(bundle: Bundle): readonly string[];
  /**
   * Files of the host that the step's first process is an instance of until it becomes the step: a program of the image could get at them
   * through /proc/self/exe (CVE-2019-5736), so they are read-only in the sandbox. Absolute paths.
   */
  readonly sealed: readonly string[];
  /** Whether it makes the terminal that config.json asks for; else its standard streams have to be one. */
  readonly makesTerminal: boolean;
}

export interface Bundle {
  /** Where config.json is. */
  readonly directory: string;
  /** A name that no other container has: letters, digits, `-`. */
  readonly id: string;
  /** A file to which the runtime writes its own errors, one JSON object a line: `level`, `msg`. */
  readonly log: string;
  /** A directory for the runtime's own state. */
  readonly state: string;
}
