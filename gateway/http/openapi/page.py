"""The page for people, made of the document: whole without JavaScript, and nothing fetched from elsewhere."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from gateway.http.catalogue import CATALOGUE
from gateway.http.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from jinja2 import Environment

SAFETY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_CODE: Final = re.compile(r"`([^`]+)`")
_REF: Final = "#/components/schemas/"


def render(document: Mapping[str, Any]) -> bytes:
    """The page of a document, as UTF-8."""
    text = (
        _environment()
        .get_template("api.html.j2")
        .render(
            title=document["info"]["title"],
            about=document["info"]["description"],
            version=document["info"]["version"],
            typed_url=document["x-typed-document"]["url"],
            sections=list(_sections(document)),
            shapes=[
                {"name": name, "text": json.dumps(shape, indent=2, ensure_ascii=False)}
                for name, shape in document["components"]["schemas"].items()
            ],
        )
    )
    return text.encode()


def asset(name: str) -> bytes:
    """A file of the page: `page.css` or `page.js`."""
    return files("gateway.http.openapi").joinpath("assets", name).read_bytes()


@lru_cache(1)
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - few ask for the page

    made = Environment(
        loader=PackageLoader("gateway.http.openapi", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["marked"] = _marked
    return made


def _marked(text: str) -> Markup:
    """A text whose words between backticks are code; all else stands as it is."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def _sections(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for tag in document["tags"]:
        yield {
            "name": tag["name"],
            "about": tag["description"],
            "anchor": "tag-" + tag["name"].lower().replace(" ", "-"),
            "operations": [
                _operation(method, path, operation)
                for path, item in document["paths"].items()
                for method, operation in item.items()
                if tag["name"] in operation["tags"]
            ],
        }


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Mapping[str, Any]:
    body = operation.get("requestBody")
    return {
        "anchor": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "about": operation.get("description", ""),
        "parameters": [_parameter(one) for one in operation.get("parameters", ())],
        "body": None
        if body is None
        else {
            "meaning": body.get("description", ""),
            "media": [
                {"name": name, "shape": _shape(media["schema"])} for name, media in body["content"].items()
            ],
        },
        "answers": [
            {
                "status": status,
                "meaning": reply["description"],
                "shape": _first_shape(reply.get("content", {})),
            }
            for status, reply in operation["responses"].items()
            if MEDIA_TYPE not in reply.get("content", {})
        ],
        "codes": [
            {"name": code, "status": CATALOGUE[code].status} for code in operation.get("x-error-codes", ())
        ],
    }


def _first_shape(content: Mapping[str, Any]) -> str:
    return next((text for media in content.values() if (text := _shape(media["schema"]))), "")


def _parameter(one: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "name": one["name"],
        "place": one["in"],
        "meaning": one["description"],
        "required": one["required"],
        "shape": _shape(one["schema"]),
    }


def _shape(schema: Mapping[str, Any]) -> str:
    """A schema in a few words; empty for one that takes anything."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    if "anyOf" in schema:
        return " or ".join(_shape(one) for one in schema["anyOf"])
    if isinstance(schema.get("type"), list):
        return " or ".join(_shape({**schema, "type": one}) for one in schema["type"])
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("format") == "binary":
        return "bytes"
    kind = schema.get("type", "")
    if kind == "array":
        return f"a list of {_shape(schema['items']) or 'anything'}"
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    names = {"string": "text", "integer": "whole number", "boolean": "`true` or `false`"}
    return names.get(str(kind), str(kind))
