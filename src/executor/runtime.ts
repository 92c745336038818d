import type { ContainerStart } from './container-start.ts';
import type { RuntimeSpec } from './runtime-spec.ts';

/** What runs a bundle of the OCI runtime-spec (config.json and a root filesystem): one program of the host, or the embedded one. */
export interface Runtime {
  /** 'runc', 'crun', 'youki', 'embedded', or the path of a program. */
  readonly name: string;
  /** Namespaces that the process around it has to make, since the runtime does not make them itself: CLONE_NEW* flags. */
  namespaces(network: 'own' | 'given'): number;
  /** How that process becomes the runtime, with the step's status as its own. */
  start(bundle: Bundle): ContainerStart;
  /** Does it read config.json from the bundle's directory? */
  readonly readsConfig: boolean;
  /** Whether it makes the terminal that config.json asks for; else its standard streams have to be one. */
  readonly makesTerminal: boolean;
}

/** Where the bundle of a step is, and what belongs to it. */
export interface BundlePlace {
  /** Where config.json is. */
  readonly directory: string;
  /** A name that no other container has: letters, digits, `-`. */
  readonly id: string;
  /** A file to which the runtime writes its own errors, one JSON object a line: `level`, `msg`. */
  readonly log: string;
  /** A directory for the runtime's own state. */
  readonly state: string;
}

export interface Bundle extends BundlePlace {
  readonly spec: RuntimeSpec;
  /** Where the sandbox's view of an absolute path is. */
  readonly view: (path: string) => string;
  /** Were the standard streams made for the step? Else they are those of this process. */
  readonly ownStreams: boolean;
  /** For helper programs. */
  readonly path: string;
}
