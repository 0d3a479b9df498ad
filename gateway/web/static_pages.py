"""What browsers see: the page under /ui, the API's description under /docs, and links to both."""

from html import escape
from os import PathLike, stat_result
from pathlib import Path

from fastapi import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parents[1] / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""By ending, because a system's own table may say anything."""

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_WELCOME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><ul>
<li><a href="ui">Upscale an image here</a></li>
<li><a href="docs">How to call the service</a></li>
</ul></body></html>
"""


def html_response(text: str, policy: str = _POLICY) -> Response:
    """Return a page of ours, which loads nothing from elsewhere."""
    headers = HEADERS | {"Content-Security-Policy": policy, "Vary": "Accept"}
    return Response(text, media_type="text/html", headers=headers)


def welcome(title: str) -> Response:
    """Return the links for a browser that came to the service's root."""
    return html_response(_WELCOME.format(title=escape(title)))


def wants_page(accept: str) -> bool:
    """Return whether a browser asks, as a person would, rather than a client or a probe."""
    return "text/html" in accept.lower()


class Page(StaticFiles):
    """The files of the page, with ETags: nothing outside their folder, nothing without a type."""

    def __init__(self, folder: Path = FOLDER) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file at `path`. Raises HTTPException 404 or 405."""
        try:
            return await super().get_response(path, scope)
        except ValueError as error:  # a null byte in the path
            raise HTTPException(404) from error

    def file_response(
        self,
        full_path: "str | PathLike[str]",
        stat_result: stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the file, or 304 where the browser has it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS | {"Content-Security-Policy": _POLICY})
        kind = TYPES.get(Path(full_path).suffix.lower(), "application/octet-stream")
        if response.status_code == status_code:
            response.headers["content-type"] = kind
        return response
