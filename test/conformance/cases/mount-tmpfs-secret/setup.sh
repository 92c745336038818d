printf s3cr3t >token; printf other >other
