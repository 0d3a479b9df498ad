"""Several systems in one Flow: every Document is answered by the one that serves its model."""

from collections.abc import Iterator

import pytest
from docarray import Document, DocumentArray
from jina import Client
from jina.excepts import BadServer

from superres.cli.client import Server
from tests.executors.conftest import opened, png
from tests.gateway.service import ROOT, Service, discard, free_port, launch_flow, ready, wait_for

pytestmark = pytest.mark.flow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Bicubic++ and Lanczos side by side, as in flows/all-models.yml."""
    costs = tmp_path_factory.mktemp("costs")
    systems = {"BicubicPP": ["bicubic_pp.x3"], "Lanczos": ["lanczos.x2", "lanczos.x4"]}
    branches = [
        {
            "name": uses.lower(),
            "uses": uses,
            "py_modules": str(ROOT / "executors/superres_executors.py"),
            "needs": "gateway",
            "uses_with": {"models": models, "measure_cost": True, "cache_dir": str(costs)},
        }
        for uses, models in systems.items()
    ]
    flow = {
        "jtype": "Flow",
        "with": {"protocol": "grpc", "port": free_port()},
        "gateway": {"uses": str(ROOT / "gateway/config.yml")},
        "executors": [*branches, {"name": "join", "needs": [b["name"] for b in branches]}],
    }
    service = launch_flow(tmp_path_factory.mktemp("routing"), flow)
    yield ready(service)
    discard(service)


@pytest.fixture(scope="module")
def client(service: Service) -> Client:
    return Client(host=f"grpc://localhost:{service.port}")


def asked(*models: str | None) -> DocumentArray:
    return DocumentArray(
        Document(blob=png(size=(6 + place, 5)), tags={"model": model} if model else {})
        for place, model in enumerate(models)
    )


def test_the_first_system_s_default_answers_where_no_model_is_named(client: Client) -> None:
    (answer,) = client.post("/upscale", asked(None))
    assert answer.tags["upscale"]["model"] == "bicubic_pp.x3"
    assert opened(answer).size == (18, 15)


def test_the_parameter_chooses_for_all(client: Client) -> None:
    answers = client.post("/upscale", asked(None, None), parameters={"model": "lanczos.x2"})
    assert [a.tags["upscale"]["model"] for a in answers] == ["lanczos.x2"] * 2


def test_one_request_may_ask_several_systems_and_keeps_its_order(client: Client) -> None:
    models = ["lanczos.x4", "bicubic_pp.x3", None, "lanczos.x2", "bicubic_pp.x3"]
    answers = client.post("/upscale", asked(*models), request_size=10)
    assert [opened(a).size[0] for a in answers] == [24, 21, 24, 18, 30]


def test_an_unknown_model_lists_the_known_ones_of_every_system(client: Client) -> None:
    with pytest.raises(BadServer, match=r"bicubic_pp.x3, lanczos.x2, lanczos.x4"):
        client.post("/upscale", asked("esrgan"))


def test_an_unknown_model_does_not_harm_its_neighbours(client: Client) -> None:
    answers = client.post("/upscale", asked("lanczos.x2", "esrgan", None), request_size=10)
    assert [bool(a.blob) for a in answers] == [True, False, True]
    assert answers[1].tags["error"]["code"] == "MODEL"


def test_a_failed_picture_does_not_harm_its_neighbours(client: Client) -> None:
    docs = asked("lanczos.x2", "bicubic_pp.x3")
    docs[1].blob = b"no image"
    answers = client.post("/upscale", docs, request_size=10)
    assert [bool(a.blob) for a in answers] == [True, False]
    assert answers[1].tags["error"]["code"]


def test_the_command_line_s_server_tells_tiles(service: Service) -> None:
    seen: list[tuple[int, int]] = []
    data = png(size=(400, 400))
    options = {"model": "lanczos.x2", "tile": 12}
    server = Server(f"http://localhost:{service.port}")
    server.upscale(data, options, lambda done, total: seen.append((done, total)))
    assert seen
    assert all(0 <= done <= total for done, total in seen)


def test_http_lists_every_model_and_where_it_is_served(service: Service) -> None:
    listed = service.http("/models", method="GET").body["models"]
    assert {m["name"] for m in listed} == {"bicubic_pp.x3", "lanczos.x2", "lanczos.x4"}


def test_the_gateway_chooses_among_all_executors(client: Client) -> None:
    docs = asked("auto:best", "lanczos.x2", "auto")
    answers = client.post("/upscale", docs, request_size=10)
    assert [a.tags["model"] for a in answers] == ["auto:best", "lanczos.x2", "auto"]
    assert [a.tags["upscale"]["model"] for a in answers] == [
        "bicubic_pp.x3",  # the only one of the default's scale
        "lanczos.x2",
        "bicubic_pp.x3",
    ]
    chosen = [a.tags["upscale"].get("chosen") for a in answers]
    assert chosen[0]["asked"] == "auto:best" and chosen[0]["reason"]
    assert chosen[1] is None


def test_a_choice_for_all_by_a_parameter_leaves_no_tag(client: Client) -> None:
    docs = DocumentArray([Document(blob=png()), Document(blob=png())])
    answers = client.post("/upscale", docs, parameters={"model": "auto:fast"}, request_size=10)
    assert all("model" not in answer.tags for answer in answers)
    assert {a.tags["upscale"]["chosen"]["asked"] for a in answers} == {"auto:fast"}


def test_over_http_an_unknown_preference_is_refused(service: Service) -> None:
    answer = service.bytes(
        "/upscale?model=auto:cheap", png(), headers={"content-type": "image/png"}
    )
    assert answer.status == 422 and b"auto:balanced" in answer.body


def test_costs_are_measured_once_the_service_is_idle(service: Service) -> None:
    def is_measured() -> bool:
        listed = service.http("/models", method="GET").body["models"]
        return all(model["cost"]["measured"] for model in listed)

    wait_for(is_measured, 60)
