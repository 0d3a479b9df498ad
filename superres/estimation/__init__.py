"""What a request will take, before it runs: bytes of memory and seconds."""
