echo b >b
