"""One port for every protocol, and the process around it."""
