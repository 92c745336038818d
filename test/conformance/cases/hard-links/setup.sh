mkdir -p links/sub; echo l >links/a; ln links/a links/b; ln links/a links/sub/c; echo m >m; ln m links/m
