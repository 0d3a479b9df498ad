"""gRPC: the service Jina's clients call, and cancellation."""
