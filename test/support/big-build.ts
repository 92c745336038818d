import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Writes a context of 500 files and a Dockerfile of 20 instructions in 3 stages on `base`: the build whose second run must
 * cost next to nothing.
 */
export function writeBigBuild(context: string, base: string): void {
  for (let folder = 0; folder < 20; folder++) {
    const path = join(context, `src/module-${folder}`);
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < 25; file++) {
      writeFileSync(join(path, `file-${file}.txt`), `${folder}/${file}\n`.repeat(50));
    }
  }
  const dockerfile = [
    `FROM ${base} AS build`,
    'ARG VERSION=1',
    'ENV APP_VERSION=$VERSION',
    'WORKDIR /src',
    'COPY src .',
    'RUN cat module-1/*.txt >/all-1',
    'RUN wc -c /all-1 >/size-1',
    `FROM ${base} AS assets`,
    'WORKDIR /assets',
    'COPY src/module-2 two',
    'RUN ls two >list',
    'RUN sort -r list >sorted',
    `FROM ${base}`,
    'LABEL org.example.size=big',
    'COPY --from=build /size-1 /size',
    'COPY --from=assets /assets /assets',
    'COPY src/module-3 /three',
    'EXPOSE 8080',
    'USER 1000:1000',
    'CMD ["cat", "/size"]',
  ];
  writeFileSync(join(context, 'Dockerfile'), `${dockerfile.join('\n')}\n`);
}
