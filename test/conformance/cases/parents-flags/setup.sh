mkdir -p a/b a/c x; echo one >a/b/one; echo uno >a/c/one; echo two >x/two; echo other >a/b/other; chmod 711 a
