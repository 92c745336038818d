mkdir -p tree/gone tree/dir tree/again; for f in gone/a dir/f dir/g again/old kept; do echo $f >tree/$f; done
