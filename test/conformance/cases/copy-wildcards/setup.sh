for name in a1 a2 b1 c1 ab; do echo $name >$name.txt; done
mkdir -p d/one d/two .hiddendir
echo one >d/one/f; echo two >d/two/f; echo x >d/two/x
echo bracket >'with[bracket.txt'
echo h >.hidden; echo i >.hiddendir/i
ln -s a1.txt link
mkdir t && echo in >t/packed && tar --owner=0 --group=0 --mtime=@1000000000 -C t -cf d/p.tar packed && rm -r t
