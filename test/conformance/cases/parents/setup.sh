mkdir -p a/b x; chmod 750 a; echo one >a/b/one; echo two >x/two; echo other >a/b/other
