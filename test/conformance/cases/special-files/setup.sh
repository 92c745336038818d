mkdir context; mkfifo context/fifo; chmod 622 context/fifo; mknod context/null c 1 3; echo f >context/file
