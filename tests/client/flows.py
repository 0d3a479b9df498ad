"""The default Flow on a free port, with what a test needs to be different."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.gateway.service import ROOT, Service, discard, free_port, ready, started


@contextmanager
def serving(
    folder: Path, block: dict[str, Any] | None = None, executor: dict[str, Any] | None = None
) -> Iterator[Service]:
    """flows/flow.yml, ready; `block` goes into its gateway block, `executor` are settings of the
    Executor.
    """
    flow = yaml.safe_load((ROOT / "flows/flow.yml").read_text())
    port = free_port()
    flow["with"]["port"] = port
    flow["gateway"]["uses"] = str(ROOT / "gateway/config.yml")
    flow["gateway"].update(block or {})
    (served,) = flow["executors"]
    served["py_modules"] = str(ROOT / "executors/superres_executors.py")
    served["uses_with"].update(executor or {})
    (folder / "flow.yml").write_text(json.dumps(flow))  # JSON is YAML
    command = [sys.executable, "-m", "gateway.launcher", "--uses", str(folder / "flow.yml")]
    service = started(command, ROOT, port, folder / "log.txt")
    try:
        yield ready(service)
    finally:
        discard(service)
