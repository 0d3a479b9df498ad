"""What every part of the service agrees on: options and errors; the standard library only."""
