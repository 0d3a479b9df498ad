"""The steps of restoration as the command line names them."""

from pathlib import Path

import yaml

from contract.restoration import WrongChain, read_chain
from superres.errors import BadOption

__all__ = ["read_steps"]


def read_steps(given: str | None) -> tuple[str, ...]:
    """Read what --restore names.

    Args:
        given: A preset, steps with commas between, or a YAML file with either or a list.

    Returns:
        The steps; none where nothing is given.

    Raises:
        BadOption: It is no chain.
    """
    if given is None:
        return ()
    value: object = given
    if given.endswith((".yml", ".yaml")):
        try:
            value = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise BadOption("--restore", given, "a YAML file with a list of steps") from error
    try:
        return read_chain(value)
    except WrongChain as error:
        raise BadOption("--restore", given, str(error)) from error
