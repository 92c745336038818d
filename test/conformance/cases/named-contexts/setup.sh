mkdir -p more/sub other; echo f >more/file; echo s >more/sub/s; echo ignored >more/ignored; echo ignored >more/.dockerignore; echo o >other/other; chmod 750 more/sub
