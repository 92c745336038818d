import type { Case } from './scene.ts';
import { again, all, chmod, define, edit, option, put, rename, touch } from './scene.ts';

const abc = { a: 'a', b: 'b', c: 'c' };
const from = 'FROM localhost/busybox';
const os = { bases: { 'localhost/os': { 'etc/extra': 'x' } } };

/** RUN. `localhost/busybox` is a small system; names that start with `localhost/os` are made from it. */
export const runCases: readonly Case[] = [
  define('run', [from, 'RUN echo 1 >/one', 'RUN echo 2 >/two', 'RUN echo 3 >/three'], {}, [
    again,
    edit('echo 2', 'echo II'),
    edit('RUN echo 2 >/two\n', ''),
    edit('RUN echo 2 >/two\nRUN echo 3 >/three', 'RUN echo 3 >/three\nRUN echo 2 >/two'),
    edit('echo 1', 'echo  1'),
    edit('RUN echo 2', '# a comment\nRUN \\\n  echo 2'),
    option('--no-cache', { noCache: true }),
  ]),
  define(
    'run-early-cutoff',
    [from, 'COPY a /a', 'RUN wc -c </a >/n && rm /a', 'RUN cat /n >/m', 'COPY b /b'],
    { files: abc },
    [put('a', 'A'), put('a', 'longer'), touch('a'), put('b', 'B'), chmod('a', 0o600)],
  ),
  define(
    'run-early-cutoff-in-a-stage',
    [
      ...[`${from} AS build`, 'COPY a /src/a', 'RUN mkdir /out && tr a-z A-Z </src/a >/out/bin'],
      ...[from, 'COPY --from=build /out /app', 'RUN cat /app/bin >/copy', 'WORKDIR /w'],
    ],
    { files: abc },
    [
      put('a', 'A'),
      put('a', 'z'),
      edit('tr a-z A-Z', "tr '[a-z]' '[A-Z]'"),
      edit('/src/a >', '/src/a | cat >'),
    ],
  ),
  define(
    'run-removes-what-was-there',
    [from, 'COPY a /d/a', 'COPY b /d/b', 'RUN rm -r /d', 'RUN ls / >/list'],
    { files: abc },
    [put('a', 'A'), put('b', 'B'), edit('COPY a /d/a\n', '')],
  ),
  define(
    'run-replaces-directory',
    [from, 'COPY a /d/a', 'RUN rm -r /d && mkdir /d && echo x >/d/x', 'RUN ls -R /d >/list'],
    { files: abc },
    [put('a', 'A'), all('another file below it', rename('a', 'z'), edit('COPY a /d/a', 'COPY z /d/z'))],
  ),
  define(
    'run-hard-links',
    [
      from,
      'COPY a /a',
      'RUN echo x >/x && if grep -q link /a; then ln /x /y; else cp /x /y; fi; rm /a',
      'RUN stat -c %h /x >/n',
    ],
    { files: { a: 'copy' } },
    [put('a', 'Copy'), put('a', 'link')],
  ),
  define(
    'run-modes-and-owners',
    [from, 'COPY a /a', 'RUN sh /a; rm /a', 'RUN ls -ln /f >/list'],
    { files: { a: 'echo x >/f; true' } },
    [
      put('a', 'echo x >/f; :'),
      put('a', 'echo x >/f; chmod 600 /f'),
      put('a', 'echo x >/f; chown 5:6 /f'),
      put('a', 'echo x >/f; touch -d @5 /f'),
    ],
  ),
  define(
    'run-argument',
    [from, 'ARG V=1', 'RUN echo before >/b', 'ARG W=1', 'RUN echo $V >/v', 'ARG LATE=1'],
    {},
    [
      option('--build-arg V=2', { buildArgs: { V: '2' } }),
      option('--build-arg V=1', { buildArgs: { V: '1' } }),
      option('--build-arg W=2', { buildArgs: { W: '2' } }),
      option('--build-arg LATE=2', { buildArgs: { LATE: '2' } }),
      option('--build-arg HTTP_PROXY=http://proxy', { buildArgs: { HTTP_PROXY: 'http://proxy' } }),
      edit('ARG V=1', 'ARG V=2'),
    ],
  ),
  define(
    'run-environment',
    [from, 'RUN echo 1 >/1', 'ENV E=1', 'RUN echo $E >/2', 'ENV F=1', 'LABEL l=1', 'RUN echo 3 >/3'],
    {},
    [
      edit('E=1', 'E=2'),
      edit('F=1', 'F=2'),
      edit('l=1', 'l=2'),
      edit('ENV E=1', 'USER 0'),
      edit('ENV F=1', 'WORKDIR /w'),
      edit('ENV F=1', 'SHELL ["/bin/sh", "-e", "-c"]'),
    ],
  ),
  define(
    'run-bind-mount',
    [from, 'RUN --mount=type=bind,source=src,target=/src cat /src/a >/copy', 'RUN echo after >/after'],
    { files: { 'src/a': 'a', 'src/b': 'b', other: 'o' } },
    [
      put('src/a', 'A'),
      put('src/b', 'B'),
      put('other', 'O'),
      touch('src/a'),
      chmod('src/a', 0o755),
      edit('target=/src cat /src/a', 'target=/s cat /s/a'),
    ],
  ),
  define(
    'run-bind-mount-of-a-stage',
    [
      ...[`${from} AS one`, 'COPY a /out/a', 'COPY b /junk'],
      ...[
        from,
        'RUN --mount=from=one,source=/out,target=/m cat /m/a >/copy',
        'RUN --mount=from=one,target=/m ls /m >/list',
      ],
    ],
    { files: abc },
    [put('a', 'A'), put('b', 'B'), touch('a'), edit('COPY b /junk', 'COPY b /x\nRUN mv /x /junk')],
  ),
  define(
    'run-secret',
    [from, 'RUN --mount=type=secret,id=s cat /run/secrets/s >/dev/null', 'RUN echo after >/after'],
    { options: { secrets: [{ id: 's', value: 'the first value' }] } },
    [
      option('another value', { secrets: [{ id: 's', value: 'the second value' }] }),
      option('another secret as well', {
        secrets: [
          { id: 's', value: 'the first value' },
          { id: 't', value: 'one more value' },
        ],
      }),
      edit('id=s', 'id=s,mode=0444'),
    ],
  ),
  define(
    'run-cache-mount',
    [
      from,
      'RUN --mount=type=cache,target=/c echo x >>/c/x; echo 1 >/one',
      'RUN --mount=type=cache,id=other,target=/c echo 2 >/two',
    ],
    {},
    [
      again,
      edit('target=/c echo x', 'target=/d echo x'),
      edit('id=other', 'id=another'),
      edit('id=other', 'id=other,sharing=locked'),
      option('--no-cache', { noCache: true }),
    ],
  ),
  define(
    'run-heredoc',
    [from, 'RUN <<EOF', 'echo 1 >/one', 'echo 2 >/two', 'EOF', 'RUN echo 3 >/three'],
    {},
    [
      edit('echo 2', 'echo II'),
      edit('EOF\necho 1 >/one\necho 2 >/two\nEOF', 'END\necho 1 >/one\necho 2 >/two\nEND'),
    ],
  ),
  define('run-network-and-hosts', [from, 'RUN echo 1 >/one', 'RUN --network=none echo 2 >/two'], {}, [
    option('--add-host a:1.2.3.4', { addHosts: ['a:1.2.3.4'] }),
    option('--network none', { network: 'none' }),
    option('--shm-size', { shmSize: 1 << 20 }),
    option('--ulimit nofile=100', { ulimits: [{ name: 'nofile', soft: 100, hard: 100 }] }),
    edit('--network=none ', ''),
  ]),
  define(
    'run-base-moved',
    ['FROM localhost/os', 'RUN echo 1 >/one', 'COPY a /a', 'RUN echo 2 >/two'],
    { files: abc, ...os },
    [
      again,
      put('etc/extra', 'y', { base: 'localhost/os' }),
      put('etc/more', 'y', { base: 'localhost/os' }),
      touch('etc/extra', { base: 'localhost/os' }),
      put('a', 'A'),
    ],
  ),
  define(
    'run-no-cache-filter',
    [
      `${from} AS one`,
      'COPY a /a',
      'RUN wc -c </a >/n; cat /proc/sys/kernel/random/uuid >/time',
      'FROM one AS two',
      'RUN cat /n >/m',
      from,
      'COPY --from=two /m /m',
      'RUN cat /m >/o',
    ],
    { files: abc },
    [
      option('--no-cache-filter one', { noCacheFilter: ['one'] }),
      option('--no-cache-filter two', { noCacheFilter: ['two'] }),
      edit('; cat /proc/sys/kernel/random/uuid >/time', ''),
    ],
  ),
  define(
    'run-user-and-directory',
    [from, 'WORKDIR /w', 'USER app', 'RUN id -u >/tmp/id', 'USER root', 'RUN pwd >/pwd'],
    {},
    [edit('USER app', 'USER nobody'), edit('WORKDIR /w', 'WORKDIR /v'), edit('USER root', 'USER 0')],
  ),
];
