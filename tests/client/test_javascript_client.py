"""The unmodified official JavaScript client, quirks and all, against the default Flow.

What it sends is recorded once, where that is the point, and sent again to read the answer that the
client itself does not show.
"""

import base64
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests.client.flows import serving
from tests.client.recorder import Posted, Recorder, recording
from tests.gateway.service import Service

pytestmark = pytest.mark.flow

CLIENT_SAYS = "TypeError: Cannot read properties of undefined (reading '0')"
"""What the client throws for any error answer, whose status and body it never looks at."""


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with recording() as running:
        noise = np.random.default_rng(0).integers(0, 256, (250, 250, 3), np.uint8)
        for name, levels in (("/large.png", noise), ("/small.png", noise[:50, :50])):
            file = io.BytesIO()
            Image.fromarray(levels).save(file, "png")
            running.files[name] = file.getvalue()
        assert len(running.files["/large.png"]) > 130_000
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The default Flow."""
    with serving(tmp_path_factory.mktemp("flow")) as running:
        yield running


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Service]:
    """A Flow with a key, whose operator lets it fetch images from the recorder."""
    opened = {"uri_private_networks": ["127.0.0.1/32"], "uri_ports": [recorder.port]}
    keyed = {"uses_with": {"api_keys": ["the key"]}}
    with serving(tmp_path_factory.mktemp("inside"), keyed, opened) as running:
        yield running


class Told(NamedTuple):
    """What a call of the client returned, or what it threw."""

    answer: str | None = None
    thrown: str | None = None

    @property
    def picture(self) -> tuple[str | None, tuple[int, int]]:
        """Format and size of the answer."""
        assert self.answer is not None, self.thrown
        with Image.open(io.BytesIO(base64.b64decode(self.answer, validate=True))) as image:
            image.load()
            return image.format, image.size


class Client:
    """The JavaScript client in a process of its own for each call."""

    def __init__(self, node: str) -> None:
        self.node = node

    def upscale(self, url: str, token: str | None = None, **wish: object) -> Told:
        call: dict[str, Any] = {"endpoint": url, "input": wish}
        if token is not None:
            call["token"] = token
        done = subprocess.run(
            [self.node, Path(__file__).with_name("quirks.mjs")],
            input=json.dumps(call),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return Told(**json.loads(done.stdout))

    def sends(self, recorder: Recorder, **wish: object) -> Posted:
        """What the client sends for a wish."""
        assert self.upscale(recorder.url, **wish).answer == ""
        return recorder.posted[-1]


@pytest.fixture(scope="module")
def client(node: str) -> Client:
    return Client(node)


def url(service: Service) -> str:
    return f"http://localhost:{service.port}"


# Images by URL


def test_a_small_picture_by_url_is_fetched_by_the_client_alone(
    client: Client, recorder: Recorder, inside: Service
) -> None:
    sent = client.sends(recorder, image=f"{recorder.url}/small.png").body["data"][0]
    assert sent["uri"] == f"{recorder.url}/small.png"
    assert base64.b64decode(sent["blob"]) == recorder.files["/small.png"]
    recorder.fetched.clear()
    told = client.upscale(url(inside), token="the key", image=f"{recorder.url}/small.png")
    assert told.picture == ("PNG", (150, 150))
    assert recorder.fetched == ["/small.png"]


def test_of_a_large_picture_by_url_the_client_sends_the_url_as_blob(
    client: Client, recorder: Recorder
) -> None:
    sent = client.sends(recorder, image=f"{recorder.url}/large.png").body["data"][0]
    assert sent["blob"] == f"{recorder.url}/large.png"
    assert "uri" not in sent


def test_the_url_in_a_blob_is_refused_where_it_leads_inside(
    client: Client, recorder: Recorder, service: Service
) -> None:
    sent = client.sends(recorder, image=f"{recorder.url}/large.png")
    recorder.fetched.clear()
    told = client.upscale(url(service), image=f"{recorder.url}/large.png")
    assert told.thrown == CLIENT_SAYS
    reply = service.http("/post", sent.body)
    assert reply.status == 422
    assert reply.body["option"] == "uri"
    assert f"port {recorder.port}" in reply.body["message"]
    assert recorder.fetched == ["/large.png"], "the client's own"
    sent.body["data"][0]["blob"] = "http://127.0.0.1/large.png"
    reply = service.http("/post", sent.body)
    assert (reply.status, reply.body["code"]) == (422, "ADDRESS")


def test_the_url_in_a_blob_is_fetched_where_the_operator_allows_it(
    client: Client, recorder: Recorder, inside: Service
) -> None:
    recorder.fetched.clear()
    told = client.upscale(url(inside), token="the key", image=f"{recorder.url}/large.png")
    assert told.picture == ("PNG", (750, 750))
    assert recorder.fetched == ["/large.png"] * 2, "the client's, then the server's"


# Files of the client


def test_a_file_travels_with_its_path_which_nobody_opens(
    client: Client, recorder: Recorder, inside: Service, photo: Path
) -> None:
    sent = client.sends(recorder, image=str(photo))
    assert sent.body["data"][0]["uri"] == str(photo)
    recorder.fetched.clear()
    headers = {"authorization": "the key"}
    for uri in ("/etc/hostname", "file:///etc/hostname", f"{recorder.url}/small.png"):
        sent.body["data"][0]["uri"] = uri
        reply = inside.http("/post", sent.body, headers=headers)
        assert reply.status == 200
        (answer,) = reply.body["data"]
        assert Told(answer["blob"]).picture == ("JPEG", (600, 600))
        assert answer["uri"] is None
    assert recorder.fetched == []


def test_a_file_that_is_no_picture_is_an_error_without_its_content(
    client: Client, recorder: Recorder, service: Service, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the content of a file that is no image at all")
    assert client.upscale(url(service), image=str(secret)).thrown == CLIENT_SAYS
    reply = service.http("/post", client.sends(recorder, image=str(secret)).body)
    assert (reply.status, reply.body["code"]) == (422, "UNDECODABLE")
    assert "no image at all" not in json.dumps(reply.body)


def test_a_file_that_is_not_there_is_an_error_about_its_path(
    client: Client, recorder: Recorder, service: Service
) -> None:
    sent = client.sends(recorder, image="/etc/no/such.png")
    assert sent.body["data"][0]["blob"] == "/etc/no/such.png"
    reply = service.http("/post", sent.body)
    assert (reply.status, reply.body["code"]) == (400, "BASE64")
    assert reply.body["option"] == "blob"


# Keys and options


def test_no_token_is_sent_as_the_word_undefined(
    client: Client, recorder: Recorder, service: Service, inside: Service, photo: Path
) -> None:
    assert client.sends(recorder, image=str(photo)).headers["authorization"] == "undefined"
    assert client.upscale(url(service), image=str(photo)).picture == ("JPEG", (600, 600))
    assert client.upscale(url(inside), image=str(photo)).thrown == CLIENT_SAYS
    assert client.upscale(url(inside), token="undefined", image=str(photo)).thrown == CLIENT_SAYS
    assert client.upscale(url(inside), token="the key", image=str(photo)).answer


def test_a_quality_of_0_is_dropped_and_becomes_the_default(
    client: Client, recorder: Recorder, service: Service, photo: Path
) -> None:
    sent = client.sends(recorder, image=str(photo), quality=0)
    assert sent.body["parameters"] == {"drop_image_content": True}
    none, least, best = (
        client.upscale(url(service), image=str(photo), quality=quality).answer
        for quality in (0, 1, 95)
    )
    assert none == best != least


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_an_output_path_alone_gives_the_format_of_its_ending(
    client: Client, recorder: Recorder, service: Service, photo: Path, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"out.{ending}"
    wish = {"image": str(photo), "output_path": str(path), "image_format": "bmp"}
    assert client.sends(recorder, **wish).body["data"][0]["tags"] == {"output_path": str(path)}
    kind = {"jpg": "JPEG"}.get(ending, ending.upper())
    assert client.upscale(url(service), **wish).picture == (kind, (600, 600))
    assert not path.exists(), "neither client nor server write it"


@pytest.mark.parametrize(
    ("wish", "option"),
    [
        ({"scale": "abc"}, "scale"),
        ({"scale": "600"}, "scale"),
        ({"scale": "601:-1"}, "scale"),
        ({"quality": 500}, "quality"),
        ({"image_format": "docx"}, "image_format"),
    ],
)
def test_what_the_client_does_not_check_the_server_does(
    client: Client,
    recorder: Recorder,
    service: Service,
    photo: Path,
    wish: dict[str, object],
    option: str,
) -> None:
    assert client.upscale(url(service), image=str(photo), **wish).thrown == CLIENT_SAYS
    reply = service.http("/post", client.sends(recorder, image=str(photo), **wish).body)
    assert (reply.status, reply.body["option"]) == (422, option)
    assert reply.body["message"] and reply.body["allowed"]


def test_no_server_at_all_is_another_error(client: Client, photo: Path) -> None:
    assert (
        client.upscale("http://127.0.0.1:1", image=str(photo)).thrown == "TypeError: fetch failed"
    )
