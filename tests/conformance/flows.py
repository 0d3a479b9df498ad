"""The default Flow with tight limits, for tests that need to reach them."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.gateway.service import ROOT, Service, free_port, started


def launched(folder: Path, gateway: dict[str, Any], **options: Any) -> Service:
    """flows/flow.yml on a free port of loopback, its Executor with `options`; not ready yet."""
    flow = yaml.safe_load((ROOT / "flows/flow.yml").read_text())
    port = free_port()
    flow["with"]["port"] = port
    flow["gateway"] = {"uses": str(ROOT / "gateway/config.yml"), "uses_with": gateway}
    (executor,) = flow["executors"]
    executor["py_modules"] = str(ROOT / "executors/superres_executors.py")
    executor["uses_with"] |= options | {"threads": 1, "device": "cpu", "offline": True}
    (folder / "flow.yml").write_text(json.dumps(flow))  # JSON is YAML
    command = [sys.executable, "-m", "gateway.launcher", "--uses", str(folder / "flow.yml")]
    return started(command, ROOT, port, folder / "log.txt")
