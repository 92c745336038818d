/** tsbuild's public API. Everything else is internal. */
import { createRequire } from 'node:module';
import type * as buildApi from './api/build.ts';
import type * as buildsApi from './api/builds.ts';
import type * as checkApi from './api/check.ts';
import type * as copyApi from './api/copy.ts';
import type * as doctorApi from './api/doctor.ts';
import type * as duApi from './api/du.ts';
import type * as explainApi from './api/explain.ts';
import type * as graphApi from './api/graph.ts';
import type * as imagesApi from './api/images.ts';
import type * as loginApi from './api/login.ts';
import type * as referrersApi from './api/referrers.ts';
import type * as outlineApi from './api/outline.ts';
import type * as pruneApi from './api/prune.ts';
import type * as runApi from './api/run.ts';
import type * as shellApi from './api/shell.ts';
import type * as storeCheckApi from './api/store-check.ts';
import type * as transferApi from './api/transfer.ts';

if (Number.parseInt(process.versions.node, 10) < 24)
  throw new Error(`tsbuild needs Node.js 24 or newer; this is ${process.versions.node}`);

// Each function loads its part of tsbuild when it is first called: what a program does not use costs it no start-up time.
// The contracts stand at the functions themselves, in api/.

/** Builds an image from a Dockerfile and a context. */
export const build: typeof buildApi.build = async (options) =>
  (await import('./api/build.ts')).build(options);

/** The layer DAG that a build would solve, as text. */
export const graph: typeof graphApi.graph = async (options) =>
  (await import('./api/graph.ts')).graph(options);

/** Of each step of a build, done or not: was it cached, or why was it run. */
export const explain: typeof explainApi.explain = async (options) =>
  (await import('./api/explain.ts')).explain(options);

/** The builds of the history, newest first. */
export const listBuilds: typeof buildsApi.listBuilds = async (options) =>
  (await import('./api/builds.ts')).listBuilds(options);

/** One build of the history with its steps. */
export const inspectBuild: typeof buildsApi.inspectBuild = async (options) =>
  (await import('./api/builds.ts')).inspectBuild(options);

/** The whole output of the steps of a build. */
export const buildLogs: typeof buildsApi.buildLogs = async (options) =>
  (await import('./api/builds.ts')).buildLogs(options);

/** Removes builds from the history. */
export const removeBuilds: typeof buildsApi.removeBuilds = async (options) =>
  (await import('./api/builds.ts')).removeBuilds(options);

/** What the build checks find in a Dockerfile. */
export const check: typeof checkApi.check = async (options) =>
  (await import('./api/check.ts')).check(options);

/** The build checks that there are. */
export const listChecks: typeof checkApi.listChecks = async () =>
  (await import('./api/check.ts')).listChecks();

/** What a build of a target takes: arguments, secrets, ssh agents. */
export const outline: typeof outlineApi.outline = async (options) =>
  (await import('./api/outline.ts')).outline(options);

/** The stages of a Dockerfile that can be built. */
export const listStages: typeof outlineApi.listStages = async (options) =>
  (await import('./api/outline.ts')).listStages(options);

/** Runs a command in an image, in the sandbox that RUN steps have. */
export const run: typeof runApi.run = async (options) => (await import('./api/run.ts')).run(options);

/** Opens a shell at any line of a Dockerfile, or in an image. */
export const shell: typeof shellApi.shell = async (options) =>
  (await import('./api/shell.ts')).shell(options);

/** What this host can do, and what is missing for more. */
export const doctor: typeof doctorApi.doctor = async (options) =>
  (await import('./api/doctor.ts')).doctor(options);

/** The images of the store, newest first; one entry a name. */
export const listImages: typeof imagesApi.listImages = async (options) =>
  (await import('./api/images.ts')).listImages(options);

/** One image of the store with its manifest and config. */
export const inspectImage: typeof imagesApi.inspectImage = async (options) =>
  (await import('./api/images.ts')).inspectImage(options);

/** What each instruction added to an image, newest first. */
export const imageHistory: typeof imagesApi.imageHistory = async (options) =>
  (await import('./api/images.ts')).imageHistory(options);

/** Gives an image of the store a further name. */
export const tagImage: typeof imagesApi.tagImage = async (options) =>
  (await import('./api/images.ts')).tagImage(options);

/** Takes a name from an image; the image goes with its last one. */
export const removeImage: typeof imagesApi.removeImage = async (options) =>
  (await import('./api/images.ts')).removeImage(options);

/** Brings an image from its registry into the store. */
export const pullImage: typeof transferApi.pullImage = async (options) =>
  (await import('./api/transfer.ts')).pullImage(options);

/** Pushes an image of the store to its registry. */
export const pushImage: typeof transferApi.pushImage = async (options) =>
  (await import('./api/transfer.ts')).pushImage(options);

/** Writes images of the store as one archive. */
export const saveImage: typeof transferApi.saveImage = async (options) =>
  (await import('./api/transfer.ts')).saveImage(options);

/** Reads an archive of images into the store. */
export const loadImage: typeof transferApi.loadImage = async (options) =>
  (await import('./api/transfer.ts')).loadImage(options);

/** Copies an image or artifact between registries, layouts, archives and the store. */
export const copyImage: typeof copyApi.copyImage = async (options) =>
  (await import('./api/copy.ts')).copyImage(options);

/** The digest of an image, wherever it is. */
export const imageDigest: typeof copyApi.imageDigest = async (options) =>
  (await import('./api/copy.ts')).imageDigest(options);

/** The manifest or index that a name stands for. */
export const inspectManifest: typeof copyApi.inspectManifest = async (options) =>
  (await import('./api/copy.ts')).inspectManifest(options);

/** Makes an index of several images and pushes it. */
export const createIndex: typeof copyApi.createIndex = async (options) =>
  (await import('./api/copy.ts')).createIndex(options);

/** Takes a tag or an image away from its registry. */
export const deleteManifest: typeof copyApi.deleteManifest = async (options) =>
  (await import('./api/copy.ts')).deleteManifest(options);

/** The tags of a repository. */
export const listTags: typeof copyApi.listTags = async (options) =>
  (await import('./api/copy.ts')).listTags(options);

/** What was attached to an image in its registry. */
export const listReferrers: typeof referrersApi.listReferrers = async (options) =>
  (await import('./api/referrers.ts')).listReferrers(options);

/** Attaches an artifact to an image in its registry. */
export const attachArtifact: typeof referrersApi.attachArtifact = async (options) =>
  (await import('./api/referrers.ts')).attachArtifact(options);

/** What takes the disk in the store. */
export const diskUsage: typeof duApi.diskUsage = async (options) =>
  (await import('./api/du.ts')).diskUsage(options);

/** Removes what nobody uses from the store; images stay. */
export const prune: typeof pruneApi.prune = async (options) =>
  (await import('./api/prune.ts')).prune(options);

/** Reads all of the store and tells what is not as it should be; repairs it when asked to. */
export const checkStore: typeof storeCheckApi.checkStore = async (options) =>
  (await import('./api/store-check.ts')).checkStore(options);

/** Tries credentials at a registry and keeps them. */
export const login: typeof loginApi.login = async (options) =>
  (await import('./api/login.ts')).login(options);

/** Forgets the credentials of a registry. */
export const logout: typeof loginApi.logout = async (options) =>
  (await import('./api/login.ts')).logout(options);

export type { StepLog } from './api/builds.ts';
export { BuildError } from './util/build-error.ts';
export { errorCodes } from './util/error-codes.ts';
export type * from './api/types.ts';
export type * from './api/store-types.ts';
export type * from './api/build-record.ts';
export type {
  CopyOptions,
  CreateIndexOptions,
  DescriptorAnnotation,
  InspectedManifest,
  ReadOptions,
} from './api/copy.ts';
export type { AttachOptions, ReferrersOptions } from './api/referrers.ts';
export type { BuildOutcome, Diagnostic, Emit, ProgressEvent } from './progress/event.ts';
export type { FileChange, MissReason } from './progress/miss-reason.ts';
export type { Descriptor } from './oci/descriptor.ts';
export type { Digest } from './oci/digest.ts';
export type { ErrorCode } from './util/error-codes.ts';
export type { Position, Range, SourceLocation, SourceText } from './util/source.ts';

/** Of this package. */
export const version: string = (createRequire(import.meta.url)('../package.json') as { version: string })
  .version;
