mkdir -p dir/sub
echo file >file
echo in >dir/in
echo deeper >dir/sub/deeper
chmod 600 dir/in
chmod 700 dir/sub
