/** Rows, or parts of rows, that tsbuild does not follow, each with its reason. They stand in golden/language.md. */
export const decisions: Readonly<Record<string, string>> = {
  'L-PARSE-10':
    'its part of Podman alone: `Containerfile` (it comes with a `.containerignore`, which Docker does not read; when no Dockerfile is there it is named as what -f could take), `*.in` through cpp, several -f',
  'L-DIR-1':
    'no frontend is loaded, so none can be replaced: a build context called like the syntax image is told by SyntaxIgnored, as a foreign one is; a file in the forms of other frontends is UNSUPPORTED_HERE',
  'L-FROM-8':
    'of Podman alone: `--after` and transports in FROM; `--build-context` names archives and layouts',
  'L-RUN-6':
    'of the labs channel alone, so not in a Dockerfile that needs no `# syntax=` line: refused in these words',
  'L-MNT-7': 'of Podman alone: relabelling, propagation and binds of host paths',
  'Z-7':
    'about the lines around an error, of which a code frame has none: it shows those that are meant, with the place marked',
  'Z-5': 'about the monitor of buildx, which tsbuild does not have',
};
