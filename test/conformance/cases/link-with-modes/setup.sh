mkdir -p tree/sub; echo a >tree/a; echo c >tree/sub/c; chmod 755 tree/sub/c
