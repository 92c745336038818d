/** Rows, or parts of rows, that tsbuild does not follow, each with its reason. They stand in golden/language.md. */
export const decisions: Readonly<Record<string, string>> = {
  'L-PARSE-10':
    'its part of Podman alone: `Containerfile` (it comes with a `.containerignore`, which Docker does not read; when no Dockerfile is there it is named as what -f could take), `*.in` through cpp, several -f',
  'L-DIR-1':
    'no frontend is loaded, so none can be replaced: a build context called like the syntax image is told by SyntaxIgnored, as a foreign one is; a file in the forms of other frontends is UNSUPPORTED_HERE',
  'L-ARG-9':
    'BUILDKIT_INLINE_CACHE and BUILDKIT_MULTI_PLATFORM are told to have no effect: there is no remote cache and no index of several platforms yet; BUILDKIT_BUILD_NAME and those of attestations are taken and name nothing',
  'L-FROM-8':
    'of Podman alone: `--after` and transports in FROM; `--build-context` names archives and layouts',
  'L-RUN-6':
    'of the labs channel alone, so not in a Dockerfile that needs no `# syntax=` line: refused in these words',
  'L-MNT-7': 'of Podman alone: relabelling, propagation and binds of host paths',
  'L-COPY-16':
    'a file that is named or matched itself can be excluded by its name too, as the reference says; the code of BuildKit forgets that',
  'Z-1':
    'as the reference says: a user or group that is not in passwd or group is an error, and so is `user:`',
  'Z-2':
    'as the code: with `--chmod` a normal copy is made, for the image has to be the one that Docker makes',
  'Z-7':
    'about the lines around an error, of which a code frame has none: it shows those that are meant, with the place marked',
  'Z-5': 'about the monitor of buildx, which tsbuild does not have',
};
