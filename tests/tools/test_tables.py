from pathlib import Path

from superres.catalogue import ROWS
from superres.catalogue.restorers import RESTORERS
from tools.tables import write_models_table, write_notice

ROOT = Path(__file__).parents[2]


def test_the_notice_is_that_of_the_catalogue() -> None:
    assert (ROOT / "NOTICE.md").read_text() == write_notice()


def test_the_readme_has_the_table_of_models() -> None:
    assert write_models_table() in (ROOT / "README.md").read_text()


def test_every_weights_file_is_in_the_notice() -> None:
    assert all(
        f"`{w.file}`" in write_notice()
        for spec in (*ROWS, *RESTORERS.values())
        for w in spec.weights
    )
