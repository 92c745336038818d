mkdir -p packages/a/src packages/b/node_modules/c packages/d
for folder in packages packages/a packages/b packages/b/node_modules/c; do echo "$folder" >$folder/package.json; done
echo source >packages/a/src/index.js
