mkdir -p a/b x/y
chmod 750 a
echo one >a/b/one
echo two >x/y/two
echo other >a/b/other
