mkdir tree; chmod 700 tree; echo f >tree/f
