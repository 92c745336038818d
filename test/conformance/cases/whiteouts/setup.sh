mkdir -p tree/sub; echo t >tree/top; echo s >tree/sub/s
