echo f >f; echo f2 >f2; mkdir -p tree/in; echo t >tree/in/t
