mkdir -p t/dir; echo f >t/file; echo d >t/dir/d
# PAX records instead of attributes: so it needs no file system that has them.
tar --owner=0 --group=0 --format=posix --pax-option=delete=atime,delete=ctime,SCHILY.xattr.user.comment:=text -C t -cf attributes.tar file
tar --owner=0 --group=0 --format=posix --pax-option=delete=atime,delete=ctime,SCHILY.xattr.user.other:=more,SCHILY.xattr.user.second:=2 -C t -rf attributes.tar dir; rm -r t
