"""The memory of one contender, in a process of its own.

    python -m benchmarks.peers.resident FOLDER CONTENDER

FOLDER holds a case as `keep` writes it. Prints one line of JSON.
"""

import argparse
import json
import pickle
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.peers.case import Case
from benchmarks.peers.contenders import CONTENDERS
from evaluation.footprint import peak, start_afresh
from superres.catalogue import CATALOGUE

KEPT = "case.pickle"
FIELDS = ("state", "weights", "pixels", "threads")


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("contender", choices=list(CONTENDERS))
    options = parser.parse_args()
    case = kept(options.folder)
    torch.set_num_threads(case.threads)
    run = CONTENDERS[options.contender].make(case)
    idle = start_afresh()
    run()
    print(json.dumps({"idle_mb": round(idle, 1), "peak_mb": round(peak(), 1)}))


def keep(case: Case) -> None:
    """Write `case` into its folder, for other processes of this benchmark."""
    fields = {name: getattr(case, name) for name in FIELDS} | {"model": case.spec.name}
    (case.folder / KEPT).write_bytes(pickle.dumps(fields))


def kept(folder: Path) -> Case:
    """Return the case that this benchmark wrote into `folder`."""
    fields = pickle.loads((folder / KEPT).read_bytes())  # noqa: S301 - our own file
    return Case(spec=CATALOGUE[fields.pop("model")], folder=folder, **fields)


def measured(case: Case, contender: str) -> dict[str, float]:
    """MiB resident once the contender is ready, `idle_mb`, and at most during a run, `peak_mb`.

    Nothing where the process ends before it tells, for want of memory as a rule.
    """
    command = [sys.executable, "-m", __spec__.name, str(case.folder), contender]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{contender}: no memory figures: {done.stderr.strip()[-200:] or done.returncode}")
        return {}
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
