mkdir -p made/dir/sub
echo one >made/dir/one
ln made/dir/one made/dir/hard
ln -s one made/dir/soft
cp "$BUSYBOX" made/dir/suid
chmod 4755 made/dir/suid
chmod 700 made/dir/sub
chown 1000:2000 made/dir/one
for how in '' .gz .bz2 .xz; do
  name=packed.tar$how
  [ -n "$how" ] || name=plain.tar
  tar --sort=name --numeric-owner -C made -acf "$name" dir
done
rm -r made
echo 'only named like one' >not-an-archive.tar
echo downloaded >download.txt
tar --owner=0 --group=0 --mtime=@1000000000 -cf small.tar not-an-archive.tar
