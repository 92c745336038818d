// How long parsing and lowering a Dockerfile of 1,000 lines takes, against dockerfile-ast's own parse of the same text.
import { DockerfileParser } from 'dockerfile-ast';
import type { LowerOptions } from '../../src/frontend/lower.ts';
import { lower } from '../../src/frontend/lower.ts';
import { parseDockerfile } from '../../src/frontend/parse.ts';
import { digestOf } from '../../src/oci/digest.ts';

const platform = { os: 'linux', architecture: 'amd64' };
const options: LowerOptions = {
  buildArgs: {},
  platform,
  buildPlatform: platform,
  platformIsExplicit: false,
  namedContexts: {},
  resolveImage: (reference) =>
    Promise.resolve({
      reference,
      digest: digestOf(reference),
      platform,
      config: { ...platform, rootfs: { type: 'layers', diff_ids: [] }, config: { Env: ['PATH=/bin'] } },
    }),
};

/** Milliseconds that this thread has worked: a busy machine does not count, as it does on the clock. */
function worked(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Medians in milliseconds of work; both read a text that they have not seen, in turns. */
export async function benchFrontend(
  rounds: number,
): Promise<{ readonly ast: number; readonly ours: number }> {
  const times = { ast: [] as number[], ours: [] as number[] };
  for (let round = 0; round < 2 * rounds; round++) {
    const text = `${longDockerfile(1000)}# round ${round}\n`;
    const ast = worked();
    DockerfileParser.parse(text);
    const ours = worked();
    await lower(parseDockerfile({ name: 'Dockerfile', text }), options);
    const end = worked();
    // The first half lets the compiler settle.
    if (round < rounds) continue;
    times.ast.push(ours - ast);
    times.ours.push(end - ours);
  }
  const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
  return { ast: median(times.ast), ours: median(times.ours) };
}

/** A Dockerfile of many stages that build on each other, with every instruction in the forms that people write. */
export function longDockerfile(lines: number): string {
  let text = '';
  for (let index = 0; text.split('\n').length <= lines; index++) text += stage(index);
  return text;
}

function stage(index: number): string {
  const base = index === 0 ? 'alpine:3.20' : index % 3 === 0 ? 'debian:bookworm' : `s${index - 1}`;
  return `# s${index} is stage ${index}
FROM ${base} AS s${index}
ARG VERSION=1.2.${index}
ENV PATH=/opt/app/bin:$PATH \\
    APP_HOME=/srv/app \\
    VERSION=\${VERSION:-none}
LABEL org.opencontainers.image.version="$VERSION" vendor="me & you"
WORKDIR /srv/app
COPY --chown=1000:1000 package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm \\
    set -eux; \\
    # what nobody needs goes
    npm ci --omit=dev; \\
    rm -rf /tmp/*
${index === 0 ? 'COPY . .' : `COPY --from=s${index - 1} /srv/app/dist ./dist-${index}`}
RUN <<EOF
set -e
make -j4
EOF
EXPOSE 8080/tcp 9090
VOLUME ["/data"]
USER app
HEALTHCHECK --interval=30s --timeout=5s CMD curl -f http://localhost/ || exit 1
ENTRYPOINT ["/entry.sh"]
CMD ["serve", "--port", "8080"]
`;
}
