"""`python -m superres`: see superres/cli/main.py."""

import sys

from superres.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
