"""What browsers see: the page, the description, and nothing else of the disk."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from contract.options import ENDPOINT_OPTIONS
from gateway.web.docs_page import docs_page
from gateway.web.openapi import ERRORS, PageSettings, describe_service
from gateway.web.options import QUERY_OPTIONS
from gateway.web.static_pages import FOLDER, TYPES, Page
from tests.gateway.conftest import KEYS
from tests.gateway.service import ROOT, Service


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/index.html"])
def test_the_page_is_served_under_a_strict_policy(keyed_client: TestClient, path: str) -> None:
    reply = keyed_client.get(path)
    assert reply.content == (FOLDER / "index.html").read_bytes()
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "img-src 'self' blob: data:" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-cache"


def test_the_browser_is_told_that_it_has_a_file(client: TestClient) -> None:
    tag = client.get("/ui").headers["etag"]
    again = client.get("/ui", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_every_file_of_the_page_is_served_with_its_type(client: TestClient) -> None:
    for file in FOLDER.rglob("*.*"):
        reply = client.get(f"/ui/{file.relative_to(FOLDER)}")
        assert reply.status_code == 200 and reply.headers["content-type"] == TYPES[file.suffix]


@pytest.mark.flow
@pytest.mark.parametrize(
    "path",
    [
        "/ui/../gateway.py",
        "/ui/..%2fgateway.py",
        "/ui/%2e%2e/gateway.py",
        "/ui/..%5cgateway.py",
        "/ui//etc/passwd",
        "/ui/%2fetc/passwd",
        "/ui/%00",
        "/ui/nope.js",
        f"/ui/{'a' * 300}",
    ],
)
def test_nothing_outside_the_page_is_served(service: Service, path: str) -> None:
    assert service.http(path).status == 404


def test_links_out_of_the_page_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "own.txt").write_text("own")
    page, scope = Page(folder), {"type": "http", "method": "GET", "headers": []}
    assert asyncio.run(page.get_response("own.txt", scope)).status_code == 200
    with pytest.raises(HTTPException, match="404"):
        asyncio.run(page.get_response("link.txt", scope))


def test_a_browser_at_the_root_is_shown_around(keyed_client: TestClient) -> None:
    page = keyed_client.get("/", headers={"accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b'href="ui"' in page.content and b'href="docs"' in page.content
    assert keyed_client.get("/", headers={"accept": "*/*"}).json() == {}
    assert keyed_client.head("/").status_code == 200


def test_the_description_is_served_where_a_key_opens_it(keyed_client: TestClient) -> None:
    headers = {"authorization": KEYS[0]}
    assert keyed_client.get("/docs").status_code == 401
    reply = keyed_client.get("/docs", headers=headers)
    assert b"POST /upscale" in reply.content
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert keyed_client.get("/openapi.json", headers=headers).json()["security"] == [{"key": []}]


DESCRIPTION = describe_service(PageSettings(keyed=True), "1")


def nested(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nested(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nested(inner)


def test_every_reference_in_the_description_leads_somewhere() -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    references = [node["$ref"] for node in nested(DESCRIPTION) if "$ref" in node]
    assert references
    assert {reference.rpartition("/")[2] for reference in references} <= schemas.keys()


def test_the_description_names_every_form_option_and_error() -> None:
    upscale = DESCRIPTION["paths"]["/upscale"]["post"]
    assert {p["name"] for p in upscale["parameters"]} == QUERY_OPTIONS["/upscale"].keys()
    kinds = upscale["requestBody"]["content"].keys()
    assert kinds >= {"application/json", "multipart/form-data", "image/*"}
    assert upscale["responses"].keys() == {"200", *map(str, ERRORS.keys() - {405})}
    properties = DESCRIPTION["components"]["schemas"]["Options"]["properties"]
    assert properties.keys() == {
        name
        for options in ENDPOINT_OPTIONS.values()
        for option in options.values()
        for name in option.names
    }
    quality = properties["quality"]
    assert (quality["minimum"], quality["maximum"], quality["default"]) == (0, 100, 95)


def test_a_service_that_degrades_describes_its_options_and_record() -> None:
    described = describe_service(PageSettings(listed=("/degrade",)), "1")
    assert "/upscale" not in described["paths"]
    degrade = described["paths"]["/degrade"]["post"]
    assert {p["name"] for p in degrade["parameters"]} == QUERY_OPTIONS["/degrade"].keys()
    assert degrade["operationId"] == "degrade"
    assert degrade["responses"]["200"]["headers"].keys() == {"X-Degrade", "X-Request-ID"}


def test_the_record_is_described_as_the_executors_write_it() -> None:
    written = (ROOT / "executors/document.py").read_text().split('tags["upscale"] = {')[1]
    names = re.findall(r'^ +"(\w+)":', written.split("}")[0], re.MULTILINE)
    assert names
    assert set(names) <= DESCRIPTION["components"]["schemas"]["Record"]["properties"].keys()


def test_the_listed_endpoints_are_described() -> None:
    paths = describe_service(PageSettings(listed=("/other",)), "1")["paths"]
    assert "/other" in paths and "/upscale" not in paths


def test_the_page_of_the_description_loads_nothing() -> None:
    text, policy = docs_page(describe_service(PageSettings(title="<b>"), "1"))
    assert "&lt;b&gt;" in text and "<b>" not in text
    assert not re.search(r"<(script|link|img|iframe)|src=|url\(|@import", text)
    assert "unsafe" not in policy
    assert "integer, 0..100, default 95" in text
