"""The OpenAPI document as one plain page of HTML, which loads nothing from anywhere."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: .25rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0;
  border-bottom: 1px solid #8884; }
h2 { margin-top: 3rem; }
:root { color-scheme: light dark; }
"""

EXAMPLES = """curl --data-binary @a.jpg '{here}/upscale?scale=600:-1&image_format=png' -o b.png
curl -F file=@a.jpg -F quality=90 {here}/upscale -o b.jpg
curl -H 'content-type: application/json' \\
  -d '{{"data": [{{"uri": "https://example.org/a.jpg"}}], "parameters": {{"scale": "600:-1"}}}}' \\
  {here}/upscale
curl -N {here}/progress/my-id &
curl -H 'x-request-id: my-id' --data-binary @a.jpg {here}/upscale -o b.jpg
"""
HERE = "http://localhost:51001"


def docs_page(description: dict[str, Any]) -> tuple[str, str]:
    """Return the page, and the Content-Security-Policy that lets nothing but its style in."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return "\n".join(_page(description)), f"{policy}; frame-ancestors 'none'"


def _page(description: dict[str, Any]) -> Iterator[str]:
    info = description["info"]
    title = escape(info["title"])
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
    for paragraph in info["description"].split("\n\n"):
        yield f"<p>{escape(paragraph)}</p>"
    yield '<p>The same for programs: <a href="openapi.json">openapi.json</a></p>'
    yield f"<pre>{escape(EXAMPLES.format(here=HERE))}</pre>"
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield from _operation(f"{method.upper()} {path}", operation)
    yield "<h2>Schemas</h2>"
    for name, schema in description["components"]["schemas"].items():
        yield from _schema(name, schema)
    yield "</body></html>"


def _operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(name)}</code></h2><p>{escape(operation['summary'])}.</p>"
    if "description" in operation:
        yield f"<p>{escape(operation['description'])}</p>"
    if "parameters" in operation:
        rows = ((p["name"], _kind(p["schema"]), p["description"]) for p in operation["parameters"])
        yield from _table(("option", "value", "meaning"), rows)
    if "requestBody" in operation:
        content = operation["requestBody"]["content"].items()
        yield from _table(("request body", ""), ((kind, _kind(m["schema"])) for kind, m in content))
    rows = (
        (status, ", ".join(answer.get("content", ())), answer["description"])
        for status, answer in operation["responses"].items()
    )
    yield from _table(("status", "answer", ""), rows)


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema["description"])}</p>'
    rows = (
        (field, _kind(inner), inner.get("description", ""))
        for field, inner in schema.get("properties", {}).items()
    )
    yield from _table(("field", "value", "meaning"), rows)


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"<table><tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>"
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        yield f"<tr><td><code>{escape(first)}</code></td>{cells}</tr>"
    yield "</table>"


def _kind(schema: dict[str, Any]) -> str:
    """Return a schema in a few words: its type, range, choices and default."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "allOf" in schema:
        return _kind(schema["allOf"][0])
    words = [_type(schema)]
    if "enum" in schema:
        words = [" | ".join(schema["enum"])]
    if "minimum" in schema:
        words.append(f"{schema['minimum']}..{schema.get('maximum', '')}")
    if "default" in schema:
        words.append(f"default {str(schema['default']).lower()}")
    words += [f"e.g. {example}" for example in schema.get("examples", ())]
    return ", ".join(words)


def _type(schema: dict[str, Any]) -> str:
    if "contentMediaType" in schema:
        return "an image file"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_kind(schema['items'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
