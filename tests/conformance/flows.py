"""The default Flow with tight limits, for tests that need to reach them."""

from pathlib import Path
from typing import Any

from tests.gateway.service import Service, launch_flow, read_flow


def launched(folder: Path, gateway: dict[str, Any], **options: Any) -> Service:
    """flows/fast.yml on a free port of loopback, its Executor with `options`; not ready yet."""
    flow = read_flow("fast.yml")
    flow["gateway"] = {"uses": flow["gateway"]["uses"], "uses_with": gateway}
    (executor,) = flow["executors"]
    executor["uses_with"] |= options | {"threads": 1, "device": "cpu", "offline": True}
    return launch_flow(folder, flow)
