import type { Mutation } from '../mutate-types.ts';

const mount = 'src/frontend/lower-mount.ts';
const keys = 'src/frontend/parse-mount.ts';
const spec = 'src/executor/runtime-spec.ts';

export const mutations: readonly Mutation[] = [
  {
    row: 'L-RUN-1',
    file: 'src/frontend/lower-config.ts',
    from: 'if (config.Shell !== undefined && config.Shell.length > 0) return config.Shell;',
    to: '',
  },
  {
    row: 'L-RUN-3',
    file: 'src/frontend/parse-instruction.ts',
    from: "network: 'word', security: 'word', device: 'list'",
    to: "network: 'list', security: 'list', device: 'list'",
  },
  {
    row: 'L-RUN-4',
    file: 'src/frontend/lower-run.ts',
    from: "network: instruction.network ?? lowering.options.network ?? 'default',",
    to: "network: lowering.options.network ?? instruction.network ?? 'default',",
  },
  { row: 'L-RUN-5', file: spec, from: 'maskedPaths: insecure ? [] : [', to: 'maskedPaths: [' },
  {
    row: 'L-RUN-6',
    file: 'src/frontend/parse-instruction.ts',
    from: 'it is a feature of the labs channel alone',
    to: 'it is not there yet',
  },
  {
    row: 'L-RUN-7',
    file: 'src/executor/network.ts',
    from: 'return isStub ? (host.systemd ?? main) : main;',
    to: 'return main;',
  },
  {
    row: 'L-RUN-8',
    file: 'src/executor/stubs.ts',
    from: 'for (const { path, directory } of this.#stubs.toReversed()) {',
    to: 'for (const { path, directory } of this.#stubs) {',
  },
  { row: 'L-RUN-9', file: spec, from: 'noNewPrivileges: false,', to: 'noNewPrivileges: true,' },
  {
    row: 'L-RUN-10',
    file: 'src/api/runners/exec.ts',
    from: "const reason = oomKilled ? 'cannot allocate memory' : `exit code: ${exitCode}`;",
    to: 'const reason = `exit code: ${exitCode & 1}`;',
  },
  {
    row: 'L-MNT-1',
    file: mount,
    from: 'readonly: !read.writable(false),',
    to: 'readonly: !read.writable(true),',
  },
  {
    row: 'L-MNT-2',
    file: mount,
    from: "id: `${space}/${read.text('id') ?? target ?? '/'}`,",
    to: "id: `${space}${read.text('id') ?? target ?? '/'}`,",
  },
  { row: 'L-MNT-3', file: mount, from: "** 'bkmgtp'.indexOf(", to: "** 'kbmgtp'.indexOf(" },
  { row: 'L-MNT-4', file: mount, from: 'mode: read.mode(0o400),', to: 'mode: read.mode(0o444),' },
  {
    row: 'L-MNT-5',
    file: 'src/frontend/lower-run.ts',
    from: '(getEnv(list, name) === undefined ? setEnv(list, name, value) : list)',
    to: 'setEnv(list, name, value)',
  },
  {
    row: 'L-MNT-6',
    file: keys,
    from: "required: ['secret', 'ssh'],",
    to: "required: ['secret', 'ssh', 'cache'],",
  },
  {
    row: 'Z-8',
    file: 'src/frontend/parse-instruction.ts',
    from: "draft.fail(\n      'UNSUPPORTED_HERE',",
    to: "draft.fail(\n      'DOCKERFILE_UNKNOWN_FLAG',",
  },
];
