"""What import-linter cannot state: no cycle among modules, and imports where Jina is absent."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("contract", "superres", "executors", "gateway", "training", "benchmarks", "examples")

SERVICE = {"jina", "docarray", "hubble", "fastapi", "starlette", "uvicorn", "grpc"}


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


def graph(folder: str) -> dict[str, set[str]]:
    """For each module of the folder, the modules of the same folder that it imports."""
    modules = {module_name(path): imported(path) for path in sources(folder)}
    return {name: (names & modules.keys()) - {name, folder} for name, names in modules.items()}


@pytest.mark.parametrize("folder", ["contract", "superres", "executors", "gateway"])
def test_imports_form_no_cycle(folder: str) -> None:
    waiting = graph(folder)
    while free := {name for name, names in waiting.items() if not names & waiting.keys()}:
        waiting = {name: names for name, names in waiting.items() if name not in free}
    assert not waiting, f"each of these waits for another: {sorted(waiting)}"


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
