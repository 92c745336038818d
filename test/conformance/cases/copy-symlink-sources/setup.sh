mkdir -p dir/deep
echo f >dir/f; echo g >dir/deep/g
ln -s f dir/inner; ln -s /etc/passwd dir/absolute; ln -s ../.. dir/deep/up
ln -s dir to-dir; ln -s dir/f to-file
