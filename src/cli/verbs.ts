import type { Command } from 'commander';
import type { CliContext } from './context.ts';

/** One verb of the command line. */
export interface Verb {
  /** The command with its options and arguments, for parsing and help. */
  readonly define: () => Command;
  /** Does it; returns the exit status. Throws BuildErrors. */
  readonly run: (command: Command, context: CliContext) => Promise<number>;
  /** Words after the first that is no option belong to the container, not to tsbuild. */
  readonly passThrough?: boolean;
}

export interface VerbEntry {
  readonly summary: string;
  readonly load: () => Promise<Verb>;
}

/** All verbs in the order of the help. Each is loaded when it is asked for. */
export const verbs: Readonly<Record<string, VerbEntry>> = {
  build: {
    summary: 'build an image from a Dockerfile (the default)',
    load: async () => (await import('./commands/build.ts')).build,
  },
  graph: {
    summary: 'show the steps of a build without running them',
    load: async () => (await import('./commands/graph.ts')).graph,
  },
  explain: {
    summary: 'tell why each step was, or would be, cached or run',
    load: async () => (await import('./commands/explain.ts')).explain,
  },
  builds: {
    summary: 'list past builds, and show their steps and logs',
    load: async () => (await import('./commands/builds.ts')).builds,
  },
  check: {
    summary: 'check a Dockerfile, and fix what can be fixed',
    load: async () => (await import('./commands/check.ts')).check,
  },
  run: {
    summary: 'run a container from an image of the store',
    load: async () => (await import('./commands/run.ts')).run,
  },
  shell: {
    summary: 'look around at any line of a Dockerfile, or in an image',
    load: async () => (await import('./commands/shell.ts')).shell,
  },
  images: {
    summary: 'list the images of the store',
    load: async () => (await import('./commands/images.ts')).images,
  },
  inspect: {
    summary: 'show all about images, as JSON',
    load: async () => (await import('./commands/inspect.ts')).inspect,
  },
  history: {
    summary: 'show how an image was made',
    load: async () => (await import('./commands/history.ts')).history,
  },
  tag: { summary: 'give an image one more name', load: async () => (await import('./commands/tag.ts')).tag },
  rmi: { summary: 'remove images or names', load: async () => (await import('./commands/rmi.ts')).rmi },
  pull: {
    summary: 'fetch an image from its registry',
    load: async () => (await import('./commands/pull.ts')).pull,
  },
  push: {
    summary: 'send an image to its registry',
    load: async () => (await import('./commands/push.ts')).push,
  },
  save: {
    summary: 'write images into an archive',
    load: async () => (await import('./commands/save.ts')).save,
  },
  load: {
    summary: 'read images from an archive',
    load: async () => (await import('./commands/load.ts')).load,
  },
  copy: {
    summary: 'copy an image between registries, layouts, archives and the store',
    load: async () => (await import('./commands/copy.ts')).copy,
  },
  ls: { summary: 'list the tags of a repository', load: async () => (await import('./commands/ls.ts')).ls },
  digest: {
    summary: 'show the digest of an image, wherever it is',
    load: async () => (await import('./commands/digest.ts')).digest,
  },
  manifest: {
    summary: 'show manifests, make an index of several images, delete in a registry',
    load: async () => (await import('./commands/manifest.ts')).manifest,
  },
  referrers: {
    summary: 'list what is attached to an image in its registry',
    load: async () => (await import('./commands/referrers.ts')).referrers,
  },
  attach: {
    summary: 'attach files to an image in its registry',
    load: async () => (await import('./commands/attach.ts')).attach,
  },
  login: { summary: 'log in to a registry', load: async () => (await import('./commands/login.ts')).login },
  logout: {
    summary: 'forget the login of a registry',
    load: async () => (await import('./commands/logout.ts')).logout,
  },
  du: { summary: 'show what takes the disk', load: async () => (await import('./commands/du.ts')).du },
  prune: {
    summary: 'remove from the store what nobody uses',
    load: async () => (await import('./commands/prune.ts')).prune,
  },
  store: {
    summary: 'check the store, and repair it',
    load: async () => (await import('./commands/store.ts')).store,
  },
  doctor: {
    summary: 'tell what works on this host and what would help',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  version: { summary: 'show the version', load: async () => (await import('./commands/version.ts')).version },
};

/** The help of the command as a whole. */
export function overview(): string {
  const width = Math.max(...Object.keys(verbs).map((name) => name.length));
  const lines = Object.entries(verbs).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}\n`);
  return `Usage: tsbuild [build] [options] PATH | URL | -
       tsbuild COMMAND [options]

Builds container images from Dockerfiles: no daemon.

Commands:
${lines.join('')}
Run tsbuild COMMAND --help for the options of a command.

Examples:
  tsbuild -t my-image:1.0 .                     build into the local store
  tsbuild -t registry.example/app --push .      build and push
  tsbuild -o type=oci,dest=app.tar .            build into an archive
`;
}
