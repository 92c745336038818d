echo o >old; echo older >older; echo e >epoch; echo l >late
touch -d @1 old; touch -d '1969-12-31 23:00:00 UTC' older; touch -d @0 epoch; touch -d @15000000000 late
tar --owner=4000000000 --group=3 --format=posix --pax-option=delete=atime,delete=ctime -cf old.tar old older epoch
