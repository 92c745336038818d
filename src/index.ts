/** tsbuild's public API. Everything else is internal. */
import { createRequire } from 'node:module';

export { build } from './api/build.ts';
export { doctor } from './api/doctor.ts';
export { graph } from './api/graph.ts';
export { imageHistory, inspectImage, listImages, removeImage, tagImage } from './api/images.ts';
export { login, logout } from './api/login.ts';
export { run } from './api/run.ts';
export { loadImage, pullImage, pushImage, saveImage } from './api/transfer.ts';
export { BuildError } from './util/build-error.ts';
export { errorCodes } from './util/error-codes.ts';
export type * from './api/types.ts';
export type { BuildOutcome, Diagnostic, Emit, ProgressEvent } from './progress/event.ts';
export type { Descriptor } from './oci/descriptor.ts';
export type { Digest } from './oci/digest.ts';
export type { ErrorCode } from './util/error-codes.ts';
export type { Position, Range, SourceLocation, SourceText } from './util/source.ts';

/** Of this package. */
export const version: string = (createRequire(import.meta.url)('../package.json') as { version: string })
  .version;
