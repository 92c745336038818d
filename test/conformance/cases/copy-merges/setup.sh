mkdir -p first/sub second/sub second/empty
echo new >first/file; echo s >first/sub/s; chmod 755 first/sub; chmod 770 second/sub
echo replaced >first/link; echo other >second/other; echo t >second/sub/t; ln -s other second/into
chmod 600 second/other; touch -d @900000000 first/file second/sub
