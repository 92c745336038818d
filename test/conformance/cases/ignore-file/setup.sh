mkdir -p docs/api src/lib/deep node_modules/a pkg/node_modules/b build/out .git temp
for file in README.md docs/index.md docs/draft.md docs/api/a.md docs/api/keep.md src/main.c src/main.o src/lib/l.c src/lib/l.o src/lib/deep/d.o \
  node_modules/a/x pkg/node_modules/b/y pkg/p build/out/bin build/keep.txt .git/config temp/a tempfile secret.key not-secret.key 'name with blank' '#hash' '!bang'; do
  echo "$file" >"$file"
done
