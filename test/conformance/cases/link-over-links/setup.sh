mkdir -p tree/sub; echo a >tree/a; echo b >tree/b; echo c >tree/sub/c; chmod 700 tree/sub
