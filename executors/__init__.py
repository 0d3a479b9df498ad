"""The shell around the engine: one Jina Executor per system, and the wire between them."""
