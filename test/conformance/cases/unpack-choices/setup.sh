mkdir -p t/d; echo x >t/d/x; tar --owner=6 --group=7 --mtime=@900000000 -C t -czf packed.tar.gz d
