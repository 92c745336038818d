mkdir input; echo data >input/data; echo two >input/two
