printf hush >secret
