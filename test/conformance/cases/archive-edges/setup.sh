mkdir -p t/link t/real && echo l >t/link/l && echo r >t/real/r
tar --owner=0 --group=0 -C t -cf through-link.tar link real
rm -r t; mkdir t; echo p >t/p; tar --owner=0 --group=0 -C t -cf plain.tar p
tar --owner=0 --group=0 -P --transform='s,^,/,' -C t -cf absolute.tar p
tar --owner=0 --group=0 --transform='s,^,./a/./b/,' -C t -cf dots.tar p
rm -r t; mkdir t; ln -s target t/link; mkdir t/target; echo x >t/target/x; ln t/target/x t/hard
tar --owner=0 --group=0 -C t -cf own-link.tar link target hard
rm -r t; mkdir t; echo file >t/real; ln -s nowhere t/extra; tar --owner=0 --group=0 -C t -cf replaces.tar real extra; rm -r t
