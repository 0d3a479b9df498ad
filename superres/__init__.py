"""Super-resolution engine: images in, larger images out. It knows nothing of servers."""
