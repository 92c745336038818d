mkdir -p tree/d tree2; for f in tree/x.txt tree/y.log tree/d/z tree2/keep.me tree2/keep.not tree2/x.log; do echo $f >$f; done
