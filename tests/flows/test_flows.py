"""Every Flow names Executors, models and options that exist; one with downloaded weights serves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from docarray import Document
from jina import Client

import executors.superres_executors as classes
from executors.settings import read_settings
from superres.catalogue import CATALOGUE
from tests.executors.conftest import opened, png
from tests.gateway.service import ROOT, Service, discard, launch_flow, read_flow, ready

FLOWS = sorted((ROOT / "flows").glob("*.yml"))
flows = pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name)


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


@flows
def test_a_flow_serves_on_port_51001_through_our_gateway(path: Path) -> None:
    flow = loaded(path)
    assert flow["with"] == {"protocol": "grpc", "port": 51001}
    assert flow["gateway"]["uses"] == "../gateway/config.yml"
    assert flow["gateway"]["host"] == "0.0.0.0"


@flows
def test_its_executors_are_ours_and_reached_through_the_gateway_only(path: Path) -> None:
    for executor in loaded(path)["executors"]:
        assert hasattr(classes, executor["uses"])
        assert (path.parent / executor["py_modules"]).is_file()
        assert executor["host"] == "127.0.0.1"


@flows
def test_its_executors_exist_and_take_their_options(path: Path) -> None:
    for executor in loaded(path)["executors"]:
        if executor["uses"] == "Join":
            continue
        served = getattr(classes, executor["uses"])
        settings = read_settings(executor.get("uses_with", {}), {})
        if executor["uses"] == "Degrader":
            continue  # it has no models
        systems = served.systems or (served.system,)
        assert all(CATALOGUE[name].system in systems for name in settings.models)
        assert executor["quiet_error"] is True


def test_every_system_has_a_flow() -> None:
    used = {e.get("uses") for path in FLOWS for e in loaded(path)["executors"]}
    assert set(classes.__all__) - used <= {"Lanczos"}


@pytest.fixture(scope="module")
def dipnet(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """flows/dipnet.yml on a free port with the publisher's file in place of a download."""
    variables = {"SUPERRES_WEIGHTS_DIR": str(shared_data / "weights")}
    folder = tmp_path_factory.mktemp("dipnet")
    service = launch_flow(folder, read_flow("dipnet.yml"), variables)
    yield ready(service)
    discard(service)


@pytest.mark.flow
@pytest.mark.weights
def test_a_flow_with_official_weights_upscales(dipnet: Service) -> None:
    client = Client(host=f"grpc://localhost:{dipnet.port}")
    (answer,) = client.post("/upscale", [Document(blob=png(size=(9, 20)))])
    assert opened(answer).size == (36, 80)
    assert answer.tags["upscale"]["model"] == "dipnet.x4"
