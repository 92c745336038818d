mkdir data
echo one >data/one
echo two >data/two
ln -s one data/to-one
mkdir made && echo packed >made/packed
tar --sort=name --owner=0 --group=0 --numeric-owner -C made -cf archive.tar packed
rm -r made
