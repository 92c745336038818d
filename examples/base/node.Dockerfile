# A Node base on top of examples/base. Node's binary and npm come in as named contexts:
#
#   tsbuild -t node-base -f examples/base/node.Dockerfile \
#     --build-context node-dist=node_modules/node/bin \
#     --build-context npm-dist="$(npm root -g)/npm" examples/base
FROM ubuntu
COPY --from=node-dist --chmod=755 node /usr/local/bin/node
COPY --from=npm-dist . /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \
 && node --version && npm --version
CMD ["node"]
