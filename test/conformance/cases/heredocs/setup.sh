mkdir input
echo data >input/data
