"""The repairs change a whole process, so each test starts one of its own."""

import _ctypes
import subprocess
import sys
import sysconfig
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from superres.networks.torchvision_compat import suppress_overlaps

ROOT = Path(__file__).parents[3]


def run(code: str, *flags: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`code` in a fresh interpreter, with `path` before the installed packages."""
    command = [sys.executable, *flags, "-c", code]
    environment = {"PYTHONPATH": f"{path}:{ROOT}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def succeed(code: str, *flags: str, path: Path = ROOT) -> str:
    """What `code` prints; it must neither fail nor write to standard error."""
    result = run(code, *flags, path=path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


def stand_in_torchvision(folder: Path, extension: bytes) -> Path:
    """A package named torchvision whose compiled extension has these bytes."""
    transforms = folder / "torchvision" / "transforms"
    transforms.mkdir(parents=True)
    (folder / "torchvision" / "__init__.py").touch()
    (transforms / "__init__.py").touch()
    (transforms / "functional.py").write_text("def rgb_to_grayscale(): return 'grey'\n")
    (folder / "torchvision" / "ops.py").write_text("nms = 'untouched'\n")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    (folder / "torchvision" / f"_C{suffix}").write_bytes(extension)
    return folder


def loadable_library() -> bytes:
    """The bytes of some shared library that this interpreter can load."""
    return Path(_ctypes.__file__).read_bytes()


REPAIR = "from superres.networks.torchvision_compat import repair_torchvision; repair_torchvision()"
LOOK = (
    "import torch, torchvision.ops;"
    "from torchvision.transforms.functional_tensor import rgb_to_grayscale;"
    "print(hasattr(torch.ops.torchvision, 'nms'), torchvision.ops.nms, rgb_to_grayscale())"
)


def test_the_libraries_import_in_silence_and_a_second_repair_changes_nothing() -> None:
    code = (
        f"{REPAIR}; import basicsr, realesrgan, gfpgan, facexlib, sys, torchvision.ops;"
        "moved = 'torchvision.transforms.functional_tensor';"
        "seen = lambda: (torchvision.ops.nms, sys.modules[moved]);"
        f"before = seen(); {REPAIR}; print(before == seen())"
    )
    assert succeed(code, "-W", "error") == "True"


def test_basicsr_does_not_import_without_the_repair() -> None:
    result = run("import basicsr")
    assert result.returncode != 0, "the repair is no longer needed: remove it"


def test_where_the_extension_loads_only_the_removed_module_comes_back(tmp_path: Path) -> None:
    folder = stand_in_torchvision(tmp_path, loadable_library())
    assert succeed(f"{REPAIR}; {LOOK}", path=folder) == "False untouched grey"


def test_where_the_extension_does_not_load_operators_are_declared(tmp_path: Path) -> None:
    folder = stand_in_torchvision(tmp_path, b"not a library")
    seen = succeed(f"{REPAIR}; {LOOK}", path=folder)
    assert seen.startswith("True <function suppress_overlaps") and seen.endswith("grey")


def test_a_removed_module_that_exists_is_left_alone(tmp_path: Path) -> None:
    folder = stand_in_torchvision(tmp_path, loadable_library())
    own = folder / "torchvision" / "transforms" / "functional_tensor.py"
    own.write_text("origin = 'torchvision'\n")
    code = f"{REPAIR}; import torchvision.transforms.functional_tensor as m; print(m.origin)"
    assert succeed(code, path=folder) == "torchvision"


def test_a_missing_torchvision_is_named_with_its_remedy() -> None:
    code = f"import sys; sys.modules['torchvision'] = None; {REPAIR}"
    result = run(code)
    assert "torchvision" in result.stderr and "requirements.txt" in result.stderr


BOX = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2)


def overlap(a: torch.Tensor, b: torch.Tensor) -> float:
    """Intersection over union of two boxes, counted on whole pixels."""
    cells = [
        {(x, y) for x in range(int(c[0]), int(c[2])) for y in range(int(c[1]), int(c[3]))}
        for c in (a, b)
    ]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


@given(st.lists(BOX, max_size=12), st.sampled_from([0.1, 0.4, 0.7]))
def test_suppression_keeps_exactly_the_boxes_that_overlap_no_better_one(
    rectangles: list[tuple[int, int, int, int]], threshold: float
) -> None:
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in rectangles]).float().view(-1, 4)
    scores = torch.linspace(1, 0, len(rectangles))
    expected: list[int] = []
    for i in range(len(rectangles)):
        if all(overlap(boxes[i], boxes[j]) <= threshold for j in expected):
            expected.append(i)
    assert suppress_overlaps(boxes, scores, threshold).tolist() == expected


def test_suppression_returns_the_best_first() -> None:
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [8.0, 8.0, 9.0, 9.0], [0.0, 0.0, 2.0, 2.1]])
    assert suppress_overlaps(boxes, torch.tensor([0.2, 0.5, 0.9]), 0.4).tolist() == [2, 1]
