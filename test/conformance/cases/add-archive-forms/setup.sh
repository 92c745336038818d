mkdir -p t/d/sub
echo a >t/d/a; ln t/d/a t/d/b; ln -s a t/d/s; mkfifo t/d/pipe; chmod 1777 t/d/sub; echo long >"t/d/$(printf '%0150d' 7)"
touch -d @1234567890 t/d/a; touch -d @99999 t/d/sub; chown -h 7:8 t/d/s; chown 300000:400000 t/d/pipe
tar --sort=name --numeric-owner --format=gnu -C t -cf odd.tar d
$NODE -e 'fs.writeFileSync("odd.tar.zst", zlib.zstdCompressSync(fs.readFileSync("odd.tar")))'
rm -r t; mkdir -p t/dir t/link t/file
echo new >t/dir/new; echo into >t/link/into; echo f >t/file/f
tar --sort=name --owner=0 --group=0 -C t -cf over.tar dir link
rm -r t; mkdir -p t/a/b; echo x >t/a/b/c
tar --owner=5 --group=6 --no-recursion -C t -cf implied.tar a/b/c
rm -r t; tar -cf empty.tar -T /dev/null; echo plain >plain.txt
head -c 100 /dev/zero | gzip -n >cut.tar.gz
