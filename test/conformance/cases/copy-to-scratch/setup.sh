mkdir -p src/sub src/empty docs deep/a/x deep/b
echo 'int main(void) { return 0; }' >src/main.c
echo object >src/main.o
echo sub >src/sub/file
ln -s sub/file src/link
ln -s /absolute/nowhere src/dangling
echo readme >README.md
echo skipped >SKIPPED.md
echo 1 >docs/1-page.txt
echo 22 >docs/22-page.txt
echo 'x = 1' >single.cfg
echo blanks >'name with blanks.txt'
echo s >deep/a/secret
echo s >deep/b/secret
echo s >deep/a/x/secret
echo kept >deep/a/x/kept
chmod 750 deep/a
chmod 600 single.cfg
chmod 755 src/sub/file
chmod 1777 src/empty
