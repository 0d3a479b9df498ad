"""Who may import whom, read from the sources without running them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("contract", "superres", "executors", "gateway", "training", "benchmarks", "examples")

# For each folder, the packages that it must never import.
SERVICE = {"jina", "docarray", "hubble", "fastapi", "starlette", "uvicorn", "grpc"}
OUTER = {"executors", "gateway", "training", "benchmarks", "examples", "tests"}
FORBIDDEN = {
    "contract": SERVICE | OUTER | {"superres"},
    "superres": SERVICE | OUTER,
    "executors": {"gateway", "training", "benchmarks", "examples", "tests"},
    "gateway": {"superres", "executors", "training", "benchmarks", "examples", "tests"},
    "training": {"jina", "docarray", "executors", "gateway", "examples", "tests"},
    "benchmarks": {"gateway", "examples", "tests"},
    "examples": {"superres", "executors", "gateway", "training", "benchmarks", "tests"},
}

# The modules at the bottom, and all they may import of superres.
BOTTOM = {
    "superres.errors": set[str](),
    "superres.geometry": set[str](),
    "superres.model_spec": set[str](),
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Every module that the file at `path` imports anywhere; `from a import b` gives a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def packages(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def graph(folder: str) -> dict[str, set[str]]:
    """For each module of the folder, the modules of the same folder that it imports."""
    modules = {module_name(path): imported(path) for path in sources(folder)}
    return {name: (names & modules.keys()) - {name, folder} for name, names in modules.items()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_nothing_above_or_beside_it(folder: str) -> None:
    wrong = {
        module_name(path): found
        for path in sources(folder)
        if (found := packages(imported(path)) & FORBIDDEN[folder])
    }
    assert not wrong


def test_jina_is_known_only_to_executors_and_gateway() -> None:
    knows = {
        folder
        for folder in ("superres", "training")
        for path in sources(folder)
        if packages(imported(path)) & {"jina", "docarray"}
    }
    assert not knows


@pytest.mark.parametrize(("module", "allowed"), BOTTOM.items(), ids=BOTTOM)
def test_the_modules_at_the_bottom_import_nothing_of_superres(
    module: str, allowed: set[str]
) -> None:
    path = ROOT / f"{module.replace('.', '/')}.py"
    ours = {name for name in imported(path) if name.partition(".")[0] == "superres"}
    assert ours <= allowed


@pytest.mark.parametrize("folder", ["contract", "superres", "executors", "gateway"])
def test_imports_form_no_cycle(folder: str) -> None:
    waiting = graph(folder)
    while free := {name for name, names in waiting.items() if not names & waiting.keys()}:
        waiting = {name: names for name, names in waiting.items() if name not in free}
    assert not waiting, f"each of these waits for another: {sorted(waiting)}"


def test_networks_know_nothing_of_the_machinery_around_them() -> None:
    machinery = {"catalogue", "weights", "tiling", "scheduler", "upscaler", "pipeline", "image"}
    wrong = {
        module_name(path): found
        for path in sources("superres/networks")
        if (found := imported(path) & {f"superres.{name}" for name in machinery})
    }
    assert not wrong


def test_superres_imports_where_jina_is_not_installed() -> None:
    blocked = sorted(SERVICE)
    modules = sorted(module_name(path) for path in sources("superres"))
    code = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({blocked}))\n"
        f"for module in {modules}: importlib.import_module(module)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_there_is_no_module_for_everything_and_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [path for folder in FOLDERS for path in sources(folder) if path.stem in vague]
