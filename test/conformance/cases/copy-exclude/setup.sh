mkdir -p tree/sub/deep; for file in top.md top.txt sub/in.md sub/keep.txt sub/deep/d.md sub/deep/d.txt; do echo $file >tree/$file; done
