"""Cells are kept as long as what they were measured of is the same."""

from pathlib import Path

import pytest

from superres.comparison.cells import CellKey, CellStore, NotMeasured, Values

KEY = CellKey("cost", "lanczos.x4", "cpu-fp32", "64x64")
INPUTS: Values = {"weights": "ab", "sides": (1, 2)}


class Measurement:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Values:
        self.count += 1
        return {"seconds": float(self.count)}


def test_a_cell_is_measured_once(tmp_path: Path) -> None:
    work = Measurement()
    first = CellStore(tmp_path).measure(KEY, INPUTS, work)
    again = CellStore(tmp_path).measure(KEY, INPUTS, work)
    assert first == again and work.count == 1


def test_other_inputs_are_measured_anew(tmp_path: Path) -> None:
    work = Measurement()
    CellStore(tmp_path).measure(KEY, INPUTS, work)
    cell = CellStore(tmp_path).measure(KEY, INPUTS | {"weights": "cd"}, work)
    assert cell.values == {"seconds": 2.0}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"values": 3}'])
def test_a_damaged_file_is_measured_anew(tmp_path: Path, damage: str) -> None:
    work = Measurement()
    CellStore(tmp_path).measure(KEY, INPUTS, work)
    (tmp_path / KEY.file).write_text(damage)
    assert CellStore(tmp_path).measure(KEY, INPUTS, work).values == {"seconds": 2.0}


def test_what_is_left_out_says_why_and_is_tried_again(tmp_path: Path) -> None:
    def refuse() -> Values:
        raise NotMeasured("too slow")

    store = CellStore(tmp_path)
    store.measure(KEY, INPUTS, refuse)
    assert list(store.list_left_out()) == [(str(KEY), "too slow")]
    assert store.find_kept(KEY, INPUTS) is None
    assert store.measure(KEY, INPUTS, Measurement()).left_out is None


def test_names_from_files_stay_inside_the_folder(tmp_path: Path) -> None:
    key = KEY._replace(contender="../../x", subject="a/b c")
    CellStore(tmp_path).measure(key, INPUTS, Measurement())
    assert (tmp_path / key.file).resolve().is_relative_to(tmp_path)
