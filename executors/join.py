"""The end of a Flow's branches: an Executor behind a closed server, where Jina's own is open."""

from typing import Any

from jina import Executor

from contract.api_keys import read_keys
from executors.server.closed_server import close_server

_MAX_BYTES = 2**31 - 1
"""Of a message: answers are as large as the operator's max_output_pixels allow."""


class Join(Executor):
    """Waits for all the branches of a Flow and hands their Documents on together.

    api_keys: keys that open its port, as for the other Executors.
    """

    def __init__(self, *args: Any, api_keys: str | list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        close_server(self.runtime_args, read_keys(api_keys), _MAX_BYTES)
