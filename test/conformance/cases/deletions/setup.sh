mkdir -p tree/dir/nested tree/sub tree/other
echo file >tree/file
echo a >tree/dir/a
echo n >tree/dir/nested/n
echo s >tree/sub/s
echo o >tree/other/o
ln -s file tree/link
