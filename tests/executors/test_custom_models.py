"""Weights files of one's own, served beside each other under names of their own."""

from pathlib import Path

import pytest
import torch
from docarray import Document

from executors.model_entries import ModelEntry, read_entry, resolve_entries
from executors.systems import BicubicPP, RealESRGAN
from superres.errors import BadSetting
from tests.executors.conftest import Caller, opened
from tests.inputs import png
from tests.superres.custom.layouts import compact, first_layout, rrdb

CATALOGUED = "bicubic_pp.x3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact network x2 and an RRDB network x4, as people save them."""
    made = tmp_path_factory.mktemp("models")
    torch.save({"params": compact(2, 2, 16)}, made / "2x-Quick.pth")
    torch.save(first_layout(rrdb(blocks=1)), made / "4x-Ultra.pth")
    return made


@pytest.fixture(scope="module")
def caller(folder: Path) -> Caller:
    models = [
        "bicubic_pp.x3",
        {"name": "ultra", "weights": str(folder / "4x-Ultra.pth")},
        str(folder / "2x-*.pth"),
    ]
    return Caller(BicubicPP(models=models, device="cpu", offline=True, optimize="none"))


@pytest.mark.parametrize(
    ("name", "scale"), [("bicubic_pp.x3", 3), ("ultra", 4), ("2x-Quick", 2), (None, 3)]
)
def test_each_model_answers_under_its_own_name(
    caller: Caller, name: str | None, scale: int
) -> None:
    tags = {"image_format": "png"} | ({"model": name} if name else {})
    answer = caller.one(Document(blob=png(size=(12, 9)), tags=tags))
    assert opened(answer).size == (12 * scale, 9 * scale)
    assert answer.tags["upscale"]["model"] == (name or CATALOGUED)


def test_another_name_lists_those_there_are(caller: Caller) -> None:
    told = caller.refusal(Document(blob=png(), tags={"model": "4x-Ultra"}))
    assert "one of bicubic_pp.x3, ultra, 2x-Quick" in told["message"]


def test_an_option_without_effect_is_refused(caller: Caller) -> None:
    tags = {"model": "ultra", "denoise_strength": 0.3}
    told = caller.refusal(Document(blob=png(), tags=tags))
    assert told["option"] == "denoise_strength"
    assert "no value with model ultra" in told["message"]


def test_a_file_in_place_of_a_row_is_not_called_by_the_rows_name(folder: Path) -> None:
    executor = RealESRGAN(weights=str(folder / "4x-Ultra.pth"), device="cpu", optimize="none")
    assert list(executor.models) == ["4x-Ultra"]


def test_the_publishers_own_file_keeps_the_rows_name(shared_data: Path) -> None:
    from executors.systems import DIPNet

    path = shared_data / "weights/DIPNet.pth"
    executor = DIPNet(weights=str(path), device="cpu", optimize="none")
    assert list(executor.models) == ["dipnet.x4"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["/nowhere/*.pth"], 'models "/nowhere/\\*.pth": expected a pattern of files there are'),
        (["realesrgan.x4plus=/a.pth"], "expected another name: this one is a model of the catalog"),
        (["a=/a.pth", "a=/b.pth"], 'models "a": expected a name of its own for each model'),
        (["a b=/a.pth"], "letters, digits, dots"),
        (["a=/tmp/*.pth"], "expected one file for a name"),
    ],
)
def test_a_wrong_entry_says_what_is_expected(entries: list[str], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        resolve_entries(entries)


def test_entries_are_names_files_and_mappings(folder: Path) -> None:
    entries = [read_entry({"name": "mine", "weights": "/m/a.pth"}), "dipnet.x4", "b.safetensors"]
    assert resolve_entries(entries) == [
        ModelEntry("mine", Path("/m/a.pth")),
        ModelEntry("dipnet.x4", None),
        ModelEntry("b", Path("b.safetensors")),
    ]
    assert [entry.name for entry in resolve_entries([f"{folder}/*"])] == ["2x-Quick", "4x-Ultra"]
    for wrong in ({"name": "a"}, {"name": "a", "weights": 3}, 7, ""):
        with pytest.raises(ValueError, match=r"^$"):
            read_entry(wrong)


def test_a_file_that_is_no_model_ends_the_start_with_a_reason(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(SystemExit, match=r"a\.pth.* is of no network that is known here"):
        BicubicPP(models=[str(tmp_path / "a.pth")], device="cpu")


def test_weights_of_another_network_say_what_they_are(folder: Path, tmp_path: Path) -> None:
    torch.save(rrdb(blocks=6), tmp_path / "six.pth")
    from superres.catalogue import CATALOGUE
    from superres.errors import WeightsMismatch
    from superres.inference.device import Device
    from superres.model_loader import NetworkModel
    from superres.weights.store import Store

    store = Store(tmp_path, offline=True)
    spec, device = CATALOGUE["realesrgan.x4plus"], Device(torch.device("cpu"))
    with pytest.raises(
        WeightsMismatch,
        match=r"is RRDB x4, 6 blocks of 64 features, not realesrgan\.x4plus: "
        r"that is the network of realesrgan\.anime-x4; or serve it under a name",
    ):
        NetworkModel(spec, device, store, tmp_path / "six.pth")
