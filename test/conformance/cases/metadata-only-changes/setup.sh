mkdir -p tree/d; echo f >tree/f; ln -s f tree/l
