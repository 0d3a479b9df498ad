"""The table of errors: every code that the product raises has one status there."""

import ast
import json
import re
from pathlib import Path

import pytest

from contract.problem import CALLER_STATUS, STATUS, Problem, parse_problem, quote, status_of

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[A-Z][A-Z0-9_]+")
RAISERS = {"refusal", "make_error", "make_problem", "Problem", "TextKind"}


def raised_codes() -> dict[str, str]:
    """Every error code in the product's source, and a file that has it."""
    found: dict[str, str] = {}
    for folder in ("superres", "executors", "gateway"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for value in codes_in(node):
                    if isinstance(value, ast.Constant) and CODE.fullmatch(str(value.value)):
                        found[str(value.value)] = path.name
    return found


def codes_in(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.keyword) and node.arg == "code":
        return [n for n in ast.walk(node.value) if isinstance(n, ast.expr)]
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return [node.value] if node.targets[0].id == "code" else []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RAISERS:
        return node.args[:1]
    return []


def test_every_code_that_is_raised_has_a_status() -> None:
    raised = raised_codes()
    assert {"BYTES", "UNDECODABLE", "OVERLOADED", "BASE64", "BLOB_IS_URL"} <= raised.keys()
    assert not {code: file for code, file in raised.items() if code not in STATUS}


@pytest.mark.parametrize(
    ("status", "codes"),
    [
        (413, {"BYTES", "DOCUMENTS"}),
        (429, {"OVERLOADED"}),
        (503, {"UNAVAILABLE", "CANCELLED", "OUT_OF_MEMORY"}),
        (504, {"DEADLINE", "SOURCE_TIMEOUT"}),
    ],
)
def test_a_status_belongs_to_these_codes_alone(status: int, codes: set[str]) -> None:
    assert {code for code, number in STATUS.items() if number == status} == codes


def test_what_is_wrong_with_an_image_is_422() -> None:
    for code in (
        "EMPTY",
        "UNDECODABLE",
        "FRAMES",
        "PIXELS",
        "TOO_LARGE",
        "OUTPUT_PIXELS",
        "MEMORY",
    ):
        assert status_of(code) == 422


def test_a_code_of_another_executor_is_the_callers() -> None:
    assert status_of("SOMETHING_ELSE") == CALLER_STATUS


def test_a_problem_survives_as_a_line_of_json() -> None:
    problem = Problem("OVERLOADED", "full", "max_waiting", "64", 429, "d1", 40)
    assert parse_problem(problem.as_json()) == problem
    assert json.loads(problem.as_json())["retry_after"] == 40


def test_the_tag_of_a_failed_document_has_four_fields() -> None:
    tag = Problem("MODE", "m", doc_id="d").as_tag()
    assert tag == {"code": "MODE", "message": "m", "option": None, "allowed": None}


def test_a_document_that_is_named_already_stays() -> None:
    assert Problem("MODE", "m", doc_id="a").with_document("b").doc_id == "a"
    assert Problem("MODE", "m").with_document("b").doc_id == "b"
    assert Problem("MODE", "m").with_document("").doc_id is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", '"a?b"'),
        ("a" * 100, f'"{"a" * 80}…"'),
        (b"\x00", r"b'\x00'"),
        ([1] * 100, f"{str([1] * 100)[:80]}…"),
    ],
    ids=str,
)
def test_values_are_quoted_short_and_printable(value: object, text: str) -> None:
    assert quote(value) == text
