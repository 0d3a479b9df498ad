import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import resident
from benchmarks.peers.case import Case
from benchmarks.peers.weights import state_for
from superres.catalogue import CATALOGUE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts from a chosen moment")
def test_a_run_needs_at_least_the_result_it_holds(tmp_path: Path) -> None:
    spec = CATALOGUE["bicubic_pp.x3"]
    pixels = np.zeros((400, 600, 3), np.uint8)
    case = Case(spec, *state_for(spec, None), pixels, tmp_path, 1)
    resident.keep(case)
    figures = resident.measured(case, "ours")
    result = pixels.nbytes * spec.scale**2 / 2**20
    assert figures["peak_mb"] - figures["idle_mb"] > result
