seq 1 200000 >big
