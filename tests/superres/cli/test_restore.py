"""`superres upscale --restore`, and the same from Python."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

import superres
from superres.catalogue.restorers import RESTORERS
from superres.cli.main import main
from superres.errors import BadOption

MODEL = ["--model", "bicubic_pp.x2"]


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "photo.png"
    Image.fromarray(astronaut()[:30, 200:240]).save(path)
    return path


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_a_restored_image_keeps_its_size_and_has_a_name_of_its_own(photo: Path) -> None:
    assert main(["upscale", str(photo), "--restore", "deblock,denoise", *MODEL]) == 0
    restored = read(photo.with_name("photo.restored.png"))
    assert restored.shape == (30, 40, 3)
    assert main(["upscale", str(photo.parent), "-o", "out", "--restore", "deblock", *MODEL]) == 0
    assert [path.name for path in Path("out").iterdir()] == ["photo.restored.png"]


def test_a_preset_a_text_a_file_and_python_are_the_same(photo: Path) -> None:
    Path("chain.yml").write_text("- deblock\n- upscale\n")
    made = []
    for given in ("jpeg", "deblock,upscale", "chain.yml"):
        assert (
            main(["upscale", str(photo), "-o", "a.png", "--force", "--restore", given, *MODEL]) == 0
        )
        made.append(read(Path("a.png")))
    assert made[0].shape == (60, 80, 3)
    assert (made[0] == made[1]).all()
    assert (made[0] == made[2]).all()
    upscaler = superres.load("bicubic_pp.x2", restore=["deblock", "upscale"])
    assert (superres.upscale(read(photo), upscaler) == made[0]).all()


def test_a_weights_file_that_keeps_the_size_is_a_step(photo: Path) -> None:
    torch.manual_seed(0)
    network = RESTORERS["deblock"].build()
    torch.save(network.state_dict(), "1x-mine.pth")
    assert (
        main(["upscale", str(photo), "-o", "a.png", "--restore", "1x-mine.pth,upscale", *MODEL])
        == 0
    )
    plain = superres.upscale(read(photo), "bicubic_pp.x2")
    assert read(Path("a.png")).shape == plain.shape
    assert (read(Path("a.png")) != plain).any()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--restore", "snow"], 'restore "snow": expected one of deblock'),
        (["--restore", "deblock,,"], '--restore "deblock,,": expected a preset'),
        (["--restore", "none.yml"], '--restore "none.yml": expected a YAML file'),
        (["--restore", "deblock", "--face-strength", "0.5"], "--face-enhance beside it"),
        (["--strength", "2"], "from 0 to 1"),
    ],
)
def test_what_is_wrong_is_named(
    given: list[str], words: str, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["upscale", str(photo), *given, *MODEL])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert words in capsys.readouterr().err


def test_python_names_what_is_wrong() -> None:
    with pytest.raises(BadOption, match="restore"):
        superres.load("bicubic_pp.x2", restore=["deblock", "deblock"])
    with pytest.raises(BadOption, match="strength"):
        superres.load("bicubic_pp.x2", strength=1.5)
