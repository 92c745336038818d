mkdir -p app; echo run >app/run.sh; chmod 755 app/run.sh; echo c >app/conf; chmod 640 app/conf
