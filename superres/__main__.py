"""`python -m superres`: see superres/cli.py."""

import sys

from superres.cli import main

if __name__ == "__main__":
    sys.exit(main())
