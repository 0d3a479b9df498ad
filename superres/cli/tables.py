"""Tables on standard output."""

import sys
from collections.abc import Sequence

__all__ = ["write_table"]


def write_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in aligned columns; all have as many cells as the first."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(f"{line.rstrip()}\n")
    sys.stdout.flush()
