"""The file that Jina loads from config.yml: finds the package from any working directory.

Jina imports `py_modules` as top-level files, where relative imports cannot work and where a module
named `gateway` would hide the package; hence this one file with a name of its own.
"""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from gateway.gateway import SinglePortGateway  # noqa: E402

__all__ = ["SinglePortGateway"]
