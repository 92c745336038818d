import type { Diagnostic } from '../util/diagnostic.ts';
import { suggest } from '../util/suggest.ts';
import type { Table } from './toml.ts';
import { isTable } from './toml.ts';

export type FileKind = 'hosts' | 'buildkitd' | 'registriesConf';

/** The keys that a table may have: names alone, or with what the tables of that name may have. */
interface Keys {
  readonly names: readonly string[];
  readonly tables?: Readonly<Record<string, Keys>>;
  /** The table's own keys are names that the user chooses; each holds such a table. */
  readonly each?: Keys;
  /** What else it has is another program's own affair. */
  readonly open?: true;
}

const host = [
  ...['capabilities', 'ca', 'client', 'skip_verify', 'override_path', 'header'],
  // containerd's own affair.
  'dial_timeout',
];

/** What each kind of file may say: containerd's docs/hosts.md, BuildKit's docs/buildkitd.toml.md, containers-registries.conf(5). */
const kinds: Readonly<Record<FileKind, Keys>> = {
  hosts: {
    names: ['server', ...host],
    tables: { host: { names: [], each: { names: host } } },
  },
  buildkitd: {
    names: [],
    open: true,
    tables: {
      registry: {
        names: [],
        each: {
          names: ['mirrors', 'http', 'insecure', 'ca', 'tlsconfigdir'],
          tables: { keypair: { names: ['cert', 'key'] } },
        },
      },
    },
  },
  registriesConf: {
    names: [
      ...['unqualified-search-registries', 'credential-helpers', 'short-name-mode', 'aliases'],
      'additional-layer-store-auth-helper',
    ],
    tables: {
      registry: {
        names: ['prefix', 'location', 'insecure', 'blocked', 'mirror-by-digest-only'],
        tables: { mirror: { names: ['location', 'insecure', 'pull-from-mirror'] } },
      },
    },
  },
};

/** Of one file; whoever has more has taken another kind of file. */
const most = 10;

/**
 * A warning for each key of a registry's tables that nothing reads: a mirror that is misspelt would be passed by in silence. Of what else is in
 * a buildkitd.toml only a near `registry` is told.
 */
export function unknownKeys(kind: FileKind, table: Table, source: string): readonly Diagnostic[] {
  const found: Diagnostic[] = [];
  look(table, kinds[kind], '');
  return found.slice(0, most);

  function look(at: Table, keys: Keys, path: string): void {
    const { names, tables = {}, each } = keys;
    const known = [...names, ...Object.keys(tables)];
    for (const [key, value] of Object.entries(at)) {
      const inner = Object.hasOwn(tables, key) ? tables[key] : each;
      const name = path === '' ? key : `${path}.${each === undefined ? key : JSON.stringify(key)}`;
      if (inner !== undefined) {
        for (const item of Array.isArray(value) ? value : [value]) if (isTable(item)) look(item, inner, name);
      } else if (!names.includes(key)) {
        const near = suggest(key, known);
        if (keys.open !== true || near !== undefined) found.push(warning(name, near));
      }
    }
  }

  function warning(name: string, near: string | undefined): Diagnostic {
    return {
      severity: 'warning',
      rule: 'UnknownKey',
      message: `${source}: \`${name.slice(0, 200)}\` is not known and has no effect`,
      ...(near === undefined ? {} : { hint: `did you mean \`${near}\`?` }),
    };
  }
}
