echo downloaded >download.txt; echo blank >'with blank.txt'; echo local >local.txt
tar --owner=0 --group=0 --mtime=@1000000000 -cf archive.tar local.txt
touch -d @1111111111 download.txt
