mkdir -p tree/etc; echo f >tree/f; echo conf >tree/etc/conf; chmod 700 tree/etc
