printf 'downloaded\n' >download.txt; mkdir -p t/d; echo in >t/d/in
tar --owner=3 --group=4 --mtime=@900000000 -C t -czf archive.tar.gz d; rm -r t
