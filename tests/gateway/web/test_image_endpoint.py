"""`/upscale` for people: an image file in, an image file out."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.web.image_endpoint import wants_json
from gateway.web.options import read_options
from tests.gateway.conftest import KEYS
from tests.gateway.service import Service, document

PICTURE = b"\x89PNG\r\n\x1a\n\r\n--"


def form(*parts: tuple[str, bytes], boundary: str = "b0") -> tuple[bytes, dict[str, str]]:
    """A form's body and headers; a part is its name and attributes, and its data."""
    lines = [
        f"--{boundary}\r\nContent-Disposition: form-data; name={name}\r\n\r\n".encode() + data
        for name, data in parts
    ]
    body = b"\r\n".join([*lines, f"--{boundary}--\r\n".encode()])
    return body, {"content-type": f"multipart/form-data; boundary={boundary}"}


FORM = "multipart/form-data; boundary=b0"
FILE = ("file; filename=a.png", PICTURE)


@pytest.mark.flow
@pytest.mark.parametrize(
    "kind", ["image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded", "x"]
)
def test_an_image_file_is_answered_by_one(service: Service, kind: str) -> None:
    path = "/upscale?scale=iw*2:-1&image_format=png&tile="
    reply = service.bytes(path, PICTURE, headers={"content-type": kind, "x-request-id": "my.id"})
    assert (reply.status, reply.body) == (200, PICTURE)
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["x-request-id"] == "my.id"
    assert json.loads(reply.headers["x-upscale"]) == {
        "model": "é",
        "input_size": [3, 2],
        "seconds": 0.5,
    }


@pytest.mark.flow
def test_a_form_is_answered_by_an_image_file(service: Service) -> None:
    body, headers = form(("quality", b"80"), FILE, ("scale", b""))
    reply = service.bytes("/upscale?tile=64", body, headers=headers)
    assert (reply.status, reply.body) == (200, PICTURE)


@pytest.mark.flow
@pytest.mark.parametrize("in_form", [True, False])
def test_json_is_answered_where_it_is_accepted(service: Service, in_form: bool) -> None:
    body, headers = form(FILE, ("scale", b"4:3")) if in_form else (PICTURE, {})
    path = "/upscale" if in_form else "/upscale?scale=4:3"
    headers |= {"accept": "application/json", "x-request-id": "my.id"}
    reply = service.bytes(path, body, headers=headers)
    answer = json.loads(reply.body)
    assert answer["data"][0]["id"] == "my.id"
    tags = answer["data"][0]["tags"]
    assert tags["scale"] == "4:3" and tags["seen"] == len(PICTURE)
    assert tags["parameters"] == {"request_id": "my.id"}
    assert answer["header"]["requestId"] == reply.headers["x-request-id"] == "my.id"


@pytest.mark.flow
def test_json_needs_no_content_type_of_its_own(service: Service) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/json", "application/a+json"):
        body = json.dumps({"data": [document()]}).encode()
        reply = service.bytes("/upscale", body, headers={"content-type": kind})
        assert json.loads(reply.body)["data"][0]["tags"]["seen"] == 7


@pytest.mark.flow
@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "code", "option"),
    [
        ("?sacle=2:2", PICTURE, "", 422, "OPTION", "sacle"),
        ("?tile=1&tile=2", PICTURE, "", 422, "OPTION", "tile"),
        (f"?prompt={'x' * 2001}", PICTURE, "", 422, "OPTION", "prompt"),
        ("?errors=tags", PICTURE, "", 422, "OPTION", "errors"),
        ("?scale=2:2", b"{}", "application/json", 422, "OPTION", "scale"),
        ("?model=none", PICTURE, "", 422, "MODEL", "model"),
        ("", b"", "", 422, "NO_IMAGE", "body"),
        ("", b'{"data', "application/json", 400, "JSON", None),
        ("", b"", "multipart/mixed; boundary=b0", 415, "CONTENT_TYPE", "content-type"),
        ("", b"", "multipart/form-data", 422, "FORM", "body"),
        ("", b"--b0\r\n", FORM, 422, "FORM", "body"),
        ("", b"nonsense", FORM, 422, "FORM", "body"),
        ("", form(FILE)[0][:-8], FORM, 422, "FORM", "body"),
        ("", form(*[FILE] * 65)[0], FORM, 422, "FORM", "body"),
        ("", form(FILE, FILE)[0], FORM, 422, "FORM", None),
        ("", form(("file", b"a"))[0], FORM, 422, "FORM", None),
        ("", form(("tile", b"1"))[0], FORM, 422, "FORM", None),
        ("?tile=2", form(FILE, ("tile", b"1"))[0], FORM, 422, "OPTION", "tile"),
        ("", form(FILE, ("model", b"\xff"))[0], FORM, 422, "FORM", None),
    ],
)
def test_mistakes_are_told_in_json(
    service: Service, path: str, body: bytes, kind: str, status: int, code: str, option: str | None
) -> None:
    headers = {"content-type": kind or "image/png", "x-request-id": "its-id"}
    reply = service.bytes(f"/upscale{path}", body, headers=headers)
    error = json.loads(reply.body)
    assert (reply.status, error["code"], error["option"]) == (status, code, option)
    assert error["request_id"] == reply.headers["x-request-id"] == "its-id"
    assert set(error) >= {"message", "allowed"}
    assert f"request its-id: {code}" in service.log.read_text()


@pytest.mark.flow
def test_compressed_bodies_are_refused(service: Service) -> None:
    reply = service.bytes("/upscale", PICTURE, headers={"content-encoding": "gzip"})
    assert reply.status == 415


@pytest.mark.flow
@pytest.mark.parametrize("in_form", [True, False])
def test_the_limit_holds_for_every_form(keyed: Service, in_form: bool) -> None:
    headers = {"authorization": KEYS[0]}
    for size, status in ((1 << 20, 200), ((1 << 20) + 1, 413)):
        room = len(form(("file; filename=a", b""))[0]) if in_form else 0
        data = bytes(size - room)
        body, more = form(("file; filename=a", data)) if in_form else (data, {})
        reply = keyed.bytes("/upscale", body, headers=headers | more)
        assert reply.status == status
    assert json.loads(reply.body)["code"] == "BYTES"


@pytest.mark.flow
def test_pictures_need_a_key_too(keyed: Service) -> None:
    reply = keyed.bytes("/upscale", PICTURE, headers={"x-request-id": "mine"})
    assert (reply.status, json.loads(reply.body)["request_id"]) == (401, "mine")


@pytest.mark.flow
def test_the_documented_curl_lines_work(service: Service, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    url = f"http://localhost:{service.port}/upscale"
    for line in (["--data-binary", "@a.jpg", f"{url}?scale=600:-1"], ["-F", "file=@a.jpg", url]):
        subprocess.run([curl, "-sSf", *line, "-o", "b.png"], check=True, cwd=tmp_path)
        assert (tmp_path / "b.png").read_bytes() == PICTURE


@pytest.mark.parametrize(
    ("accept", "json_wanted"),
    [
        ("", False),
        ("*/*", False),
        ("image/*", False),
        ("application/json", True),
        ("Application/JSON;q=0.9, text/plain", True),
        ("image/*, application/json", False),
    ],
)
def test_accept_chooses_the_form_of_the_answer(accept: str, json_wanted: bool) -> None:
    assert wants_json(accept) is json_wanted


def test_a_near_miss_is_named() -> None:
    with pytest.raises(Exception, match="did you mean scale"):
        read_options("/upscale", [("sacle", "1")])
