"""Measure the form of the code and fail where it is beyond its limits: `python -m tools.measure`.

The limits keep what a reader relies on: small folders, files and functions, functions named by
verbs or nouns, no class name twice, an underscore before what only its own file uses.
"""

import ast
import re
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PRODUCT = ("contract", "superres", "executors", "gateway")
OTHERS = ("evaluation", "training", "benchmarks", "examples", "tools", "tests")

MAX_MODULES = 14  # in a folder, __init__ apart
MAX_LINES = {"product": 400, "tests": 500}
MAX_PARTICIPLES = 0.03  # of the functions of modules
MAX_HIDDEN = 0.10  # of the public names: used only in their own file
MAX_MEDIAN, MAX_P90 = 8, 18  # lines of a function, its docstring apart

IRREGULAR = re.findall(
    r"\w+",
    """begun beheld blown born bound broken brought built bought caught chosen cut done
    drawn driven eaten fallen felt forgotten found frozen given gone grown heard held
    hidden hit kept known laid led left lent let lit lost made meant met paid put quit
    read rid risen run said seen sent set shaken shed shown shut sold spent spread stood
    stuck sung sunk sworn taken taught thought thrown told torn understood woken won
    worn wound written""",
)
# Verbs in their own right: what they name is done, not a thing that was done.
VERBS = {
    "cut",
    "let",
    "put",
    "quit",
    "read",
    "run",
    "set",
    "shed",
    "split",
    "spread",
    "hit",
    "shut",
}
PREPOSITIONS = set(
    re.findall(
        r"\w+",
        """about above across after against along among around as at before behind below
        beneath beside between beyond by down during except for in inside into near of off
        on onto out outside over past per since than through till toward under until up upon
        via with within without""",
    )
)
EED = {"feed", "need", "seed", "speed", "embed", "shed", "bleed", "proceed", "exceed"}


class Module(NamedTuple):
    """A file of the project, read."""

    path: Path
    tree: ast.Module
    lines: list[str]

    @property
    def name(self) -> str:
        """Its path below the root."""
        return self.path.relative_to(ROOT).as_posix()


def read_modules(folders: Iterable[str]) -> list[Module]:
    """Read every Python file below `folders`."""
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found.append(Module(path, ast.parse(text), text.splitlines()))
    return found


def is_participle(word: str) -> bool:
    """Return whether `word` is a past participle."""
    if word in VERBS or word in EED:
        return False
    return word in IRREGULAR or bool(re.fullmatch(r"[a-z]{2,}ed", word))


def is_riddle(name: str) -> bool:
    """Return whether a function is named by a participle or a preposition."""
    words = name.strip("_").split("_")
    if words[0] in {"is", "has", "can", "needs", "are"}:
        return False
    return words[0] in PREPOSITIONS or is_participle(words[0]) or is_participle(words[-1])


def list_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return all functions and methods."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def count_function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, its docstring apart."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def count_code_lines(module: Module) -> int:
    """Return the lines that are neither blank, comment nor docstring."""
    texts: set[int] = set()
    for node in ast.walk(module.tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                texts.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in texts
        for number, line in enumerate(module.lines, 1)
    )


def list_names(module: Module) -> Iterator[str]:
    """Return the functions, classes and constants that a module defines."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def list_used_names(module: Module) -> set[str]:
    """Return every identifier that a module mentions, those of its texts included."""
    used: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            used.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            used.update(re.findall(r"\w+", node.value) if len(node.value) < 200 else ())
    return used


def find_hidden_names(product: list[Module], others: list[Module]) -> tuple[list[str], int]:
    """Return the public names that only their own file uses, and the number of public names."""
    users: dict[str, set[str]] = defaultdict(set)
    for module in [*product, *others]:
        for name in list_used_names(module):
            users[name].add(module.name)
    hidden, count = [], 0
    for module in product:
        for name in list_names(module):
            if name.startswith("_"):
                continue
            count += 1
            if not users[name] - {module.name}:
                hidden.append(f"{module.name}: {name}")
    return hidden, count


def find_duplicate_classes(product: list[Module]) -> list[str]:
    """Return the class names that two modules define."""
    owners: dict[str, list[str]] = defaultdict(list)
    for module in product:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                owners[node.name].append(module.name)
    return [f"{name}: {', '.join(files)}" for name, files in owners.items() if len(files) > 1]


def find_unannotated(product: list[Module]) -> list[str]:
    """Return the functions that lack an annotation."""
    found = []
    for module in product:
        for node in list_functions(module.tree):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [a for a in arguments if a.annotation is None and a.arg not in {"self", "cls"}]
            if bare or node.returns is None:
                found.append(f"{module.name}: {node.name}")
    return found


class Check(NamedTuple):
    """One measure: what it is, what was found, and what breaks its limit."""

    title: str
    value: str
    broken: list[str]


def check_all() -> Iterator[Check]:
    """Measure everything."""
    product, others = read_modules(PRODUCT), read_modules(OTHERS)
    folders = Counter(m.path.parent for m in product if m.path.stem != "__init__")
    wide = [f"{p.relative_to(ROOT)}: {n}" for p, n in folders.items() if n > MAX_MODULES]
    yield Check("modules in the widest folder", str(max(folders.values())), wide)
    long = [
        f"{m.name}: {len(m.lines)}"
        for kind, modules in (("product", product), ("tests", others))
        for m in modules
        if len(m.lines) > MAX_LINES[kind] and (kind == "product" or m.name.startswith("tests"))
    ]
    yield Check("lines of the longest file", str(max(len(m.lines) for m in product)), long)
    names = [
        f"{m.name}: {n.name}"
        for m in product
        for n in m.tree.body
        if isinstance(n, ast.FunctionDef)
    ]
    riddles = [name for name in names if is_riddle(name.partition(": ")[2])]
    share = len(riddles) / len(names)
    broken = riddles if share >= MAX_PARTICIPLES else []
    yield Check("functions named by a participle or preposition", f"{share:.1%}", broken)
    twice = find_duplicate_classes(product)
    yield Check("class names in two modules", str(len(twice)), twice)
    hidden, count = find_hidden_names(product, others)
    share = len(hidden) / count
    broken = hidden if share >= MAX_HIDDEN else []
    yield Check(f"of {count} public names, used in their own file only", f"{share:.1%}", broken)
    lengths = sorted(count_function_lines(n) for m in product for n in list_functions(m.tree))
    median, p90 = statistics.median(lengths), lengths[int(0.9 * len(lengths))]
    beyond = [f"{median} / {p90}"] if median > MAX_MEDIAN or p90 > MAX_P90 else []
    yield Check(
        "lines of a function: median / 90 % / longest",
        f"{median:g} / {p90} / {lengths[-1]}",
        beyond,
    )
    bare = find_unannotated(product)
    yield Check("functions without annotations", str(len(bare)), bare)
    yield Check("lines of product code", str(sum(map(count_code_lines, product))), [])


def main() -> int:
    """Print every measure; return 1 where one is beyond its limit."""
    failed = False
    for check in check_all():
        print(f"{'TOO MUCH ' if check.broken else ''}{check.title}: {check.value}")
        for line in check.broken:
            print(f"    {line}")
        failed |= bool(check.broken)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
