mkdir more; echo m >more/m
