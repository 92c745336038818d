mkdir input
echo data >input/data
printf s3cr3t >token
