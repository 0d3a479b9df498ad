"""The command line: `python -m superres`."""
