import { describe, expect, test } from 'vitest';
import type { ExecMount, ExecOp } from '../../src/graph/op.ts';
import type { LowerSetup } from './lowered.ts';
import { faultsOf, lowerText } from './lowered.ts';

const base = 'docker.io/library/base:latest';
const setup: LowerSetup = { bases: { [base]: { config: { Env: ['PATH=/bin'] } } } };

/** The ops of all RUNs of a file on a base, in order. */
async function execs(text: string, more: LowerSetup = {}): Promise<readonly ExecOp[]> {
  const { definition } = await lowerText(`FROM base\n${text}`, { ...setup, ...more });
  return definition.vertices.flatMap(({ op }) => (op.kind === 'exec' ? [op] : []));
}

/** The mounts of one RUN with these flags, in /w. */
async function mountsOf(flags: string, more: LowerSetup = {}): Promise<readonly ExecMount[]> {
  const before = 'ARG T=cache\nARG EMPTY\nARG N=7\nWORKDIR /w';
  const [op] = await execs(`${before}\nRUN ${flags} x`, more);
  return op?.mounts ?? [];
}

/** What a RUN on line 2 with one mount is refused for, from its place on. */
async function refused(mount: string): Promise<string> {
  const faults = await faultsOf(`FROM base\nRUN --mount=${mount} x`, setup);
  return faults.join('\n');
}

describe('L-MNT-1 L-MNT-6: how a mount is written', () => {
  const bind = { type: 'bind', target: '/x', source: '/', readonly: true };

  test('the type is bind where none is named, in any case', async () => {
    expect(await mountsOf('--mount=target=/x')).toMatchObject([bind]);
    expect(await mountsOf('--mount=type=Bind,TARGET=/x')).toMatchObject([bind]);
    expect(await mountsOf('--mount=type=cache,type=bind,target=/y,dst=/x')).toMatchObject([bind]);
  });

  test('keys and types in any case, with their other names', async () => {
    for (const name of ['target', 'dst', 'destination', 'Dst', 'DESTINATION'])
      expect(await mountsOf(`--mount=${name}=/x`)).toMatchObject([bind]);
    for (const name of ['source', 'src', 'SRC'])
      expect(await mountsOf(`--mount=target=/x,${name}=/a`)).toMatchObject([{ ...bind, source: '/a' }]);
  });

  test('values have variables, the type too; `from` has none', async () => {
    expect(await mountsOf('--mount=type=$T,target=/$N,id=${EMPTY:-i}$N,uid=$N,mode=07${N}0')).toMatchObject([
      { type: 'cache', target: '/7', id: '/i7', uid: 7, mode: 0o770 },
    ]);
    expect(await mountsOf('--mount=type=ca"ch"e,target="/q"')).toMatchObject([
      { type: 'cache', target: '/q' },
    ]);
    expect(await refused('type=bind,target=/x,from=$T')).toBe(
      'DOCKERFILE_BAD_ARGUMENT 2:33 `from` of a mount cannot have variables | give the image a name by a stage, FROM <image> AS <name>, and write from=<name>',
    );
  });

  test('a variable type is checked as a plain one is', async () => {
    const faults = async (mount: string): Promise<readonly string[]> =>
      faultsOf(`FROM base\nARG T=tmpfs\nRUN --mount=${mount} x`, setup);
    expect(await faults('type=${T},target=/x,uid=1')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 3:33 `uid` is not for mounts of type tmpfs | it is for cache, secret and ssh',
    ]);
    expect(await faults('type=$T')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 3:5 a mount of type tmpfs needs a target | add target=<path>',
    ]);
    expect(await faults('type=${T}2,target=/x')).toEqual([
      'DOCKERFILE_BAD_ARGUMENT 3:13 `--mount` has no type `tmpfs2` | did you mean `tmpfs`?',
    ]);
  });

  test('typos of keys and types', async () => {
    expect(await refused('type=bnid,target=/x')).toBe(
      'DOCKERFILE_BAD_ARGUMENT 2:13 `--mount` has no type `bnid` | did you mean `bind`?',
    );
    expect(await refused('type=volume,target=/x')).toContain('it knows bind, cache, tmpfs, secret, ssh');
    expect(await refused('type=,target=/x')).toContain('has no type ``');
    expect(await refused('taget=/x,requierd=1')).toBe(
      [
        'DOCKERFILE_UNKNOWN_FLAG 2:13 `--mount` has no key `taget` | did you mean `target`?',
        'DOCKERFILE_UNKNOWN_FLAG 2:22 `--mount` has no key `requierd` | did you mean `required`?',
      ].join('\n'),
    );
    expect(await refused('target=/x,bind-propagation=shared')).toContain(
      'has no key `bind-propagation` | it knows type,',
    );
    expect(await refused('target')).toContain(
      'the key `target` of `--mount` needs a value | write target=<value>',
    );
    expect(await refused('target=/x,')).toContain('has no key ``');
  });

  test('fields in double quotes, as CSV has them', async () => {
    expect(await mountsOf(`--mount='"target=/a,b","source=""c""d"'`)).toMatchObject([
      // The quotes that are left are ones to the word that is expanded.
      { target: '/a,b', source: '/cd' },
    ]);
    expect(await refused(`'target=/x,"source=a'`)).toContain(
      'a double quote in `--mount` does not end its field',
    );
    expect(await refused(`'target=/x,"source=a"b'`)).toContain(
      'a double quote in `--mount` does not end its field',
    );
    expect(await refused(`'target=/x,source="a"'`)).toContain(
      'a double quote stands inside a field of `--mount`',
    );
  });

  test('a target is needed, is below WORKDIR where it is relative, and is not `/`', async () => {
    for (const type of ['bind', 'cache', 'tmpfs'])
      expect(await refused(`type=${type}`)).toContain(
        `a mount of type ${type} needs a target | add target=<path>`,
      );
    for (const type of ['bind', 'cache', 'tmpfs', 'secret', 'ssh']) {
      expect(await mountsOf(`--mount=type=${type},target=a/../b/`)).toMatchObject([{ type, target: '/w/b' }]);
      expect(await mountsOf(`--mount=type=${type},target=/a//b/.`)).toMatchObject([{ type, target: '/a/b' }]);
      for (const root of ['/', '//', '/a/..', '..'])
        expect(await refused(`type=${type},target=${root}`)).toContain(
          'a mount cannot have `/` as its target',
        );
    }
  });

  test('read-only unless `rw` says otherwise; the last one counts', async () => {
    const isReadonly = async (words: string): Promise<unknown> =>
      (await mountsOf(`--mount=target=/x${words}`)).map(
        (mount) => mount.type === 'bind' && mount.readonly,
      )[0];
    for (const words of [
      '',
      ',ro',
      ',readonly',
      ',ro=true',
      ',ro=1',
      ',rw=false',
      ',rw=0',
      ',rw=F',
      ',rw,ro',
      ',READONLY=TRUE',
    ])
      expect(await isReadonly(words), words).toBe(true);
    for (const words of [',rw', ',readwrite', ',rw=true', ',RW=T', ',ro=false', ',ro,rw'])
      expect(await isReadonly(words), words).toBe(false);
    for (const word of ['yes', 'tRUE', '2'])
      expect(await refused(`target=/x,rw=${word}`)).toContain(
        'DOCKERFILE_BAD_ARGUMENT 2:23 `rw` of a mount ',
      );
  });

  test('the source is the root of the context, or of what `from` names', async () => {
    const file = 'FROM base AS tools\nFROM base\nWORKDIR /w\n';
    const { definition } = await lowerText(
      `${file}RUN --mount=from=TOOLS,target=/a --mount=from=0,target=/b,src=../s/./t --mount=from=named,target=/c --mount=from=docker.io/other,target=/d --mount=target=/e,from=,src=sub x`,
      {
        ...setup,
        bases: { ...setup.bases, 'docker.io/library/other:latest': {} },
        namedContexts: { named: { kind: 'tree' } },
      },
    );
    const vertex = definition.vertices.find(({ op }) => op.kind === 'exec');
    const names = vertex?.op.kind === 'exec' ? vertex.op.mounts : [];
    const shown = names.map((mount) => {
      const digest = mount.type === 'bind' ? vertex?.inputs[mount.input ?? -1] : undefined;
      const input = definition.vertices.find((each) => each.digest === digest);
      return [mount.target, mount.type === 'bind' && mount.source, input?.meta.name];
    });
    expect(shown).toEqual([
      ['/a', '/', '[tools 1/1] FROM docker.io/library/base:latest'],
      ['/b', '/s/t', '[tools 1/1] FROM docker.io/library/base:latest'],
      ['/c', '/', '[context named] load'],
      ['/d', '/', 'FROM docker.io/library/other:latest'],
      ['/e', '/sub', '[internal] load build context'],
    ]);
    const later = 'FROM base\nRUN --mount=from=after,target=/x x\nFROM base AS after';
    expect(await faultsOf(later, { ...setup, target: '0' })).toEqual([
      'DOCKERFILE_UNKNOWN_STAGE 2:13 the stage `after` needs to be defined before the current stage | its FROM stands on line 3',
    ]);
  });
});

describe('L-MNT-2: cache mounts', () => {
  const cache = {
    ...{ type: 'cache', target: '/c', id: '//c', sharing: 'shared', readonly: false, input: undefined },
    ...{ source: '/', mode: 0o755, uid: 0, gid: 0 },
  };

  test('what is not written is as the row says', async () => {
    expect(await mountsOf('--mount=type=cache,target=/c')).toEqual([cache]);
    expect(await mountsOf('--mount=type=cache,target=x/../c')).toEqual([
      { ...cache, target: '/w/c', id: '//w/c' },
    ]);
    expect(await mountsOf('--mount=type=cache,target=/c,id=$EMPTY')).toEqual([cache]);
  });

  test('all that can be written', async () => {
    const words = 'id=i,ro,sharing=Locked,from=base,source=a/b,mode=01770,uid=1,gid=2147483647';
    expect(await mountsOf(`--mount=type=cache,target=/c,${words}`)).toEqual([
      {
        ...{ ...cache, id: '/i', readonly: true, sharing: 'locked', input: 1, source: '/a/b' },
        ...{ mode: 0o1770, uid: 1, gid: 2_147_483_647 },
      },
    ]);
    expect(await mountsOf('--mount=type=cache,target=/c,sharing=private,from=scratch')).toEqual([
      { ...cache, sharing: 'private' },
    ]);
  });

  test('BUILDKIT_CACHE_MOUNT_NS stands before the id, and never makes one id of two', async () => {
    const ids = async (space: string): Promise<unknown> =>
      (
        await mountsOf(
          '--mount=type=cache,target=/c --mount=type=cache,target=/d,id=c --mount=type=cache,id=n/c,target=/e',
          {
            buildArgs: { BUILDKIT_CACHE_MOUNT_NS: space },
          },
        )
      ).map((mount) => mount.type === 'cache' && mount.id);
    const [plain, named] = [await ids(''), await ids('n')];
    expect(plain).toEqual(['//c', '/c', '/n/c']);
    expect(named).toEqual(['n//c', 'n/c', 'n/n/c']);
  });

  test('what cannot be', async () => {
    expect(await refused('type=cache,target=/c,sharing=lokced')).toBe(
      'DOCKERFILE_BAD_ARGUMENT 2:34 `sharing` cannot be `lokced` | did you mean `locked`?',
    );
    expect(await refused('type=cache,target=/c,sharing=no')).toContain('| it is shared, private or locked');
    for (const mode of ['9', 'u=rwx', '10000000', '-1', '0o755'])
      expect(await refused(`type=cache,target=/c,mode=${mode}`)).toContain(
        `\`${mode}\` is no mode | write it in octal, like 0400`,
      );
    for (const id of ['app', '-1', '1.5', '4294967296', '2147483648'])
      for (const key of ['uid', 'gid'])
        expect(await refused(`type=cache,target=/c,${key}=${id}`)).toBe(
          `DOCKERFILE_BAD_ARGUMENT 2:34 \`${key}\` of a mount is \`${id}\`, which is no number up to 2147483647 | names of users and groups are not looked up here: write the number`,
        );
    for (const key of ['mode', 'uid', 'sharing'])
      expect(await refused(`type=cache,target=/c,${key}=`)).toContain(`\`${key}\` of a mount is empty`);
  });
});

describe('L-MNT-3: tmpfs mounts', () => {
  test.each([
    ['', undefined],
    [',size=4096', 4096],
    [',size=64k', 65_536],
    [',size=64K', 65_536],
    [',size=2m', 2_097_152],
    [',size=2MiB', 2_097_152],
    [',size=2mb', 2_097_152],
    [',size=1g', 1_073_741_824],
    [',size=1.5k', 1536],
    [',size=1t', 1_099_511_627_776],
  ])('size `%s`', async (words, size) => {
    expect(await mountsOf(`--mount=type=tmpfs,target=/t${words}`)).toEqual([
      { type: 'tmpfs', target: '/t', ...(size === undefined ? {} : { size }) },
    ]);
  });

  test.each(['', '1x', '-1', 'm', '1kk', '99999999999p'])('`%s` is no size', async (size) => {
    expect(await refused(`type=tmpfs,target=/t,size=${size}`)).toContain('DOCKERFILE_BAD_ARGUMENT 2:34 ');
  });

  test('it is writable, unless it is asked for otherwise', async () => {
    expect(await mountsOf('--mount=type=tmpfs,target=/t,ro')).toEqual([
      { type: 'tmpfs', target: '/t', readonly: true },
    ]);
    expect(await mountsOf('--mount=type=tmpfs,target=/t,rw')).toEqual([{ type: 'tmpfs', target: '/t' }]);
  });
});

describe('L-MNT-4: secret mounts', () => {
  const secret = { type: 'secret', id: 's', required: false, mode: 0o400, uid: 0, gid: 0 };
  const file = '/run/secrets/s';
  test.each([
    ['id=s', { ...secret, target: file }],
    ['source=s', { ...secret, target: file }],
    ['src=s', { ...secret, target: file }],
    ['target=/a/s', { ...secret, target: '/a/s' }],
    ['id=a/b/s', { ...secret, id: 'a/b/s', target: file }],
    ['id=s,target=t', { ...secret, target: '/w/t' }],
    ['id=s,env=S', { ...secret, env: 'S' }],
    ['id=s,env=S,target=/t', { ...secret, env: 'S', target: '/t' }],
    ['id=s,required', { ...secret, target: file, required: true }],
    ['id=s,required=false', { ...secret, target: file }],
    ['id=s,mode=0444,uid=1,gid=2', { ...secret, target: file, mode: 0o444, uid: 1, gid: 2 }],
    ['id=s,ro', { ...secret, target: file }],
    ['id=s$EMPTY,env=S$N', { ...secret, env: 'S7' }],
  ])('%s', async (words, expected) => {
    expect(await mountsOf(`--mount=type=secret,${words}`)).toEqual([expected]);
  });

  test('it needs an id, a source or a target, and not the first two', async () => {
    expect(await refused('type=secret')).toBe(
      'DOCKERFILE_BAD_ARGUMENT 2:13 a secret mount needs an id or a target | add id=<name>',
    );
    expect(await refused('type=secret,env=A')).toContain('a secret mount needs an id or a target');
    expect(await refused('type=secret,id=$EMPTY')).toContain('a secret mount needs an id | add id=<name>');
    expect(await refused('type=secret,id=a,source=b')).toContain(
      'a secret mount has either `id` or `source`, not both',
    );
  });

  test('the name of a variable has no `=`: the value is that of the secret', async () => {
    expect(await refused('type=secret,id=a,env=A=B')).toBe(
      'DOCKERFILE_BAD_ARGUMENT 2:30 `A=B` cannot be the name of a variable | write env=A: its value is that of the secret, which id=<name> says',
    );
    expect(await refused('type=secret,id=a,env==B')).toContain('| write env=<name>: its value');
    expect(await refused('type=secret,id=a,env=')).toContain('`env` of a mount is empty');
  });
});

describe('L-MNT-5: ssh mounts', () => {
  const ssh = { type: 'ssh', id: 'default', required: false, mode: 0o600, uid: 0, gid: 0 };

  test('each has a target of its own, and the first is SSH_AUTH_SOCK', async () => {
    const flags =
      '--mount=type=ssh --mount=type=ssh,id=two,required --mount=type=ssh,target=s,mode=0666,uid=1,gid=2';
    const [op] = await execs(`WORKDIR /w\nRUN ${flags} --mount=type=ssh x`);
    expect(op?.mounts).toEqual([
      { ...ssh, target: '/run/buildkit/ssh_agent.0' },
      { ...ssh, id: 'two', target: '/run/buildkit/ssh_agent.1', required: true },
      { ...ssh, target: '/w/s', mode: 0o666, uid: 1, gid: 2 },
      { ...ssh, target: '/run/buildkit/ssh_agent.3' },
    ]);
    expect(op?.env).toContain('SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0');
  });

  test('what the image or an ARG says about SSH_AUTH_SOCK stays, and other steps have none', async () => {
    const [own, none] = await execs('ENV SSH_AUTH_SOCK=/own\nRUN --mount=type=ssh x\nFROM base\nRUN y', {
      target: '0',
    });
    expect(own?.env).toEqual(['PATH=/bin', 'SSH_AUTH_SOCK=/own']);
    expect(none).toBeUndefined();
    const [plain] = await execs('RUN x');
    expect(plain?.env).toEqual(['PATH=/bin']);
  });

  test('a source is refused', async () => {
    expect(await refused('type=ssh,source=/x')).toBe(
      'DOCKERFILE_BAD_ARGUMENT 2:22 `source` is not for mounts of type ssh | it is for bind, cache and secret',
    );
  });
});

describe('L-MNT-6: which key is for which type', () => {
  const needs: Readonly<Record<string, string>> = {
    bind: ',target=/x',
    cache: ',target=/x',
    tmpfs: ',target=/x',
    secret: ',target=/x',
    ssh: '',
  };
  const keys: Readonly<Record<string, { value: string; types: readonly string[] }>> = {
    mode: { value: '0700', types: ['cache', 'secret', 'ssh'] },
    uid: { value: '1', types: ['cache', 'secret', 'ssh'] },
    gid: { value: '1', types: ['cache', 'secret', 'ssh'] },
    size: { value: '1m', types: ['tmpfs'] },
    required: { value: 'true', types: ['secret', 'ssh'] },
    sharing: { value: 'locked', types: ['cache'] },
    // BuildKit passes over what it has no use for: an id of a bind mount, `from` of a tmpfs.
    from: { value: 'base', types: ['bind', 'cache', 'tmpfs', 'ssh'] },
    source: { value: '/s', types: ['bind', 'cache', 'tmpfs', 'secret'] },
    id: { value: 'i', types: Object.keys(needs) },
    env: { value: 'E', types: Object.keys(needs) },
    ro: { value: 'true', types: Object.keys(needs) },
    rw: { value: 'true', types: Object.keys(needs) },
  };
  const cases = Object.entries(keys).flatMap(([key, { value, types }]) =>
    Object.keys(needs).map((type) => [key, type, value, types.includes(type)] as const),
  );
  test.each(cases)('%s of type %s', async (key, type, value, allowed) => {
    const mount = `type=${type}${needs[type] ?? ''},${key}=${value}`;
    if (allowed) expect(await mountsOf(`--mount=${mount}`)).toMatchObject([{ type }]);
    else
      expect(await refused(mount)).toMatch(
        new RegExp(
          `^DOCKERFILE_BAD_ARGUMENT 2:\\d+ \`${key}\` is not for mounts of type ${type} \\| it is for `,
        ),
      );
  });

  test('each misplaced key is told, with its place', async () => {
    expect(await refused('target=/x,uid=1,size=1m,sharing=locked')).toBe(
      [
        'DOCKERFILE_BAD_ARGUMENT 2:23 `uid` is not for mounts of type bind | it is for cache, secret and ssh',
        'DOCKERFILE_BAD_ARGUMENT 2:29 `size` is not for mounts of type bind | it is for tmpfs',
        'DOCKERFILE_BAD_ARGUMENT 2:37 `sharing` is not for mounts of type bind | it is for cache',
      ].join('\n'),
    );
  });
});
