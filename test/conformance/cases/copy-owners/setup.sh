mkdir -p tree/sub; echo f >tree/f; ln -s f tree/l; echo g >tree/sub/g; chmod 750 tree/sub
