"""A Flow with somebody's own files: listed, chosen by name over the wire, named in the answer."""

from pathlib import Path

import pytest
import torch
from docarray import Document
from jina import Client

from tests.gateway.service import discard, launch_flow, read_flow, ready
from tests.inputs import png
from tests.superres.custom.layouts import compact, first_layout, rrdb


@pytest.mark.flow
def test_a_flow_serves_files_of_ones_own(tmp_path: Path) -> None:
    torch.save({"params": compact(2, 2, 16)}, tmp_path / "2x-Quick.pth")
    torch.save(first_layout(rrdb(blocks=1)), tmp_path / "4x-Ultra.pth")
    flow = read_flow("fast.yml")
    flow["executors"][0]["uses_with"]["models"] = [
        {"name": "ultra", "weights": str(tmp_path / "4x-Ultra.pth")},
        str(tmp_path / "2x-*.pth"),
    ]
    service = launch_flow(tmp_path, flow)
    try:
        ready(service)
        listed = service.http("/models").body["models"]
        assert [(m["name"], m["scale"], m["default"]) for m in listed] == [
            ("ultra", 4, True),
            ("2x-Quick", 2, False),
        ]
        client = Client(host=f"grpc://localhost:{service.port}")
        (answer,) = client.post("/upscale", [Document(blob=png(), tags={"model": "2x-Quick"})])
        assert answer.tags["upscale"]["model"] == "2x-Quick"
    finally:
        discard(service)
