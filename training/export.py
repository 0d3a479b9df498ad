"""Write trained weights in half precision, as they are shipped.

python -m training.export IN OUT
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from superres.weights.store import read_state_dict


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert the file that the command line names."""
    parser = argparse.ArgumentParser(prog="training.export", description=__doc__)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    state = {key: value.half() for key, value in read_state_dict(options.input).items()}
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise SystemExit(f'"{options.input}" holds numbers that half precision cannot')
    save_file(state, options.output)


if __name__ == "__main__":
    main()
