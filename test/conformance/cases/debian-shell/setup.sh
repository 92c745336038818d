mkdir t; echo level=debug >t/app.conf; chmod 600 t/app.conf; tar --mtime=@900000000 -C t -cJf conf.tar.xz app.conf; rm -r t
