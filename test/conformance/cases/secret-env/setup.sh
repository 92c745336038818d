printf s3cr3t >token
