mkdir -p tree/sub; echo new >tree/file; echo s >tree/sub/s; echo o >tree/other; chmod 750 tree/sub; tar --owner=9 --group=9 --mtime=@900000000 -C tree -cf packed.tar sub
