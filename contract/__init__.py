"""What every part of the service agrees on: options and errors; the standard library only."""

__version__ = "0.1.0"
