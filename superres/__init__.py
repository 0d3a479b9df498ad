"""Super-resolution engine: pictures in, larger pictures out. It knows nothing of servers."""
