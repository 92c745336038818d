/** What runs a bundle of the OCI runtime-spec (config.json and a root filesystem). */
export interface RuntimeIo {
  /** Bytes of the step's output, in order of arrival per stream. */
  readonly onOutput: (stream: 'stdout' | 'stderr', data: Uint8Array) => void;
  /** 'inherit' connects the caller's terminal (tsbuild run -it); then onOutput is not called. */
  readonly stdin?: 'ignore' | 'inherit';
}

export interface Runtime {
  readonly name: string;
  /** Runs the bundle's process to its end. The process's status is no exception: 128 + n for signal n. On abort the whole process tree is
   * killed before the promise rejects. Throws STEP_START when the process could not be started. */
  run(bundle: string, io: RuntimeIo, signal: AbortSignal): Promise<{ readonly exitCode: number }>;
}
