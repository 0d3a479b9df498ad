"""PNG: chunks, row filters, threaded deflate and a writer that takes rows as they come."""
