"""How an Executor is reached: a closed gRPC server in place of Jina's open one."""
