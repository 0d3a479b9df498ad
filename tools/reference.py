"""The tables of docs/reference.md, made from the table of options.

python -m tools.reference
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from contract.option import Option
from contract.options import DEGRADE_OPTIONS, GENERATE_OPTIONS, OPERATOR_OPTIONS, REQUEST_OPTIONS

__all__ = ["TABLES", "replace_tables"]


def _describe_value(option: Option) -> str:
    """Return what an option may be, in a few words."""
    if option.choices:
        return ", ".join(option.choices)
    if option.maximum is not None:
        maximum = "2^63-1" if option.maximum == 2**63 - 1 else f"{option.maximum:_}"
        return f"{option.minimum}..{maximum}".replace("_", " ")
    words = {"boolean": "true, false", "texts": "texts", "integers": "numbers", "chain": "steps"}
    return words.get(option.kind, option.expected or option.kind).replace('"', "")


def _describe_default(option: Option) -> str:
    if option.default_text or option.default is None:
        return option.default_text
    if isinstance(option.default, bool):
        return str(option.default).lower()
    if isinstance(option.default, tuple):
        return ", ".join(map(str, option.default))
    if isinstance(option.default, str):
        return option.default
    return f"{option.default:_}".replace("_", " ").removesuffix(".0")


def _write_table(options: Iterable[Option], with_models: bool = False) -> Iterator[str]:
    models = " models |" if with_models else ""
    yield f"| option | value | default |{models} meaning |"
    yield f"| --- | --- | --- |{' --- |' if with_models else ''} --- |"
    for option in options:
        names = ", ".join(f"`{name}`" for name in option.names)
        cells = [names, _describe_value(option), _describe_default(option)]
        cells += [option.models or ""] if with_models else []
        meaning = option.meaning
        if option.scope == "request":
            meaning = f"Parameter only. {meaning}"
        yield f"| {' | '.join([*cells, meaning])} |"


def _select_request(with_models: bool) -> list[Option]:
    return [o for o in REQUEST_OPTIONS.values() if bool(o.models) == with_models]


def _select_own(options: Iterable[Option]) -> list[Option]:
    """Return the options of an endpoint that `/upscale` has not, or has otherwise."""
    return [option for option in options if REQUEST_OPTIONS.get(option.name) is not option]


TABLES = {
    "request": "\n".join(_write_table(_select_request(with_models=False))),
    "models": "\n".join(_write_table(_select_request(with_models=True), with_models=True)),
    "generate": "\n".join(_write_table(GENERATE_OPTIONS.values())),
    "degrade": "\n".join(_write_table(_select_own(DEGRADE_OPTIONS.values()))),
    "operator": "\n".join(
        _write_table(o for o in OPERATOR_OPTIONS.values() if o.scope == "operator")
    ),
}
"""Markdown by the name of the table."""


def replace_tables(text: str) -> str:
    """Return a page with each table between its two comments `<!-- name -->` made anew."""
    for name, table in TABLES.items():
        start, end = f"<!-- {name} options -->\n", "<!-- end -->"
        before, found, rest = text.partition(start)
        if not found:
            raise ValueError(f"the page has no line {start.strip()}")
        _, _, after = rest.partition(end)
        text = f"{before}{start}{table}\n{end}{after}"
    return text


if __name__ == "__main__":
    page = Path(__file__).parents[1] / "docs" / "reference.md"
    page.write_text(replace_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{page.name} is up to date\n")
