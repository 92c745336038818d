mkdir made links
cp "$BUSYBOX" made/capable
setcap cap_net_bind_service+ep made/capable
tar --xattrs --xattrs-include='security.*' --owner=0 --group=0 --numeric-owner --format=posix \
  --pax-option=delete=atime,delete=ctime -C made -cf capable.tar capable
rm -r made
cp "$BUSYBOX" with-capability
setcap cap_net_raw+ep with-capability
echo linked >links/a
ln links/a links/b
mkdir links/sub
ln links/a links/sub/c
