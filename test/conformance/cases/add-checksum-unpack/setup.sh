printf 'downloaded\n' >download.txt; mkdir -p t/d; echo in >t/d/in
tar --owner=3 --group=4 --mtime=@900000000 -C t -cf - d | gzip -n >archive.tar.gz; rm -r t
