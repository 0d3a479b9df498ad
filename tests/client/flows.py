"""The default Flow on a free port, with what a test needs to be different."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.gateway.service import Service, discard, launch_flow, read_flow, ready


@contextmanager
def serving(
    folder: Path, block: dict[str, Any] | None = None, executor: dict[str, Any] | None = None
) -> Iterator[Service]:
    """flows/fast.yml, ready; `block` goes into its gateway block, `executor` are settings of the
    Executor.
    """
    flow = read_flow("fast.yml")
    flow["gateway"].update(block or {})
    (served,) = flow["executors"]
    served["uses_with"].update(executor or {})
    service = launch_flow(folder, flow)
    try:
        yield ready(service)
    finally:
        discard(service)
