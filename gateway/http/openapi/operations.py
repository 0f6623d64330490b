"""From a gate to an operation of the document. Source: OpenAPI 3.1.1, Operation Object."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.http.catalogue import CATALOGUE
from gateway.http.guard import Gate
from gateway.http.openapi.security import requirements
from gateway.http.problems import MEDIA_TYPE
from gateway.http.registry.shape import MEDIA_TYPES
from gateway.http.shapes import TEXT, Shape, ref, text, word
from gateway.http.told import Parameter, Reply, Told
from gateway.keys import PURPOSES
from partners.credential import Role

_EVERYWHERE: Final = frozenset({"internal", "overloaded", "parameter_invalid", "request_malformed"})
_GUARDED: Final = frozenset(
    {
        "body_too_large",
        "credential_expired",
        "credential_invalid",
        "credential_missing",
        "credential_revoked",
        "issuer_unavailable",
        "partner_suspended",
        "quota_exceeded",
        "scope_missing",
        "signature_invalid",
        "signature_replayed",
        "signature_stale",
        "source_address_denied",
        "clock_untrusted",
        "store_unavailable",
    }
)
_REGISTRY: Final[Mapping[int, str]] = {
    400: "The request is malformed.",
    401: "The credential is missing, unknown, or no longer in force.",
    403: "The credential may not do this.",
    404: "There is no such thing, or it is not yours.",
    413: "The body is too large.",
    429: "More than was agreed.",
    500: "We made a mistake, or the store is away.",
    503: "Something that is needed is away; try again later.",
}
_REGISTRY_CHANGES: Final[Mapping[int, str]] = {
    409: "The schema is incompatible.",
    415: "The media type, or content coding, is not taken.",
    422: "The schema, version, level or mode is invalid, or not permitted.",
}
_PART: Final = re.compile(r"\{([a-z]+)(?::path)?\}")


def _part(name: str, meaning: str, schema: Shape = TEXT, example: str | None = None) -> Parameter:
    return Parameter(name, meaning, schema, "path", required=True, example=example)


_PARTS: Final[Mapping[str, Parameter]] = {
    one.name: one
    for one in (
        _part("p", "A partner's slug.", text("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"), example="acme"),
        _part("ref", "An event's reference.", text("evt_[a-z2-7]{52}"), example="evt_" + "a" * 52),
        _part(
            "type",
            "An event type of the contract.",
            text("[a-z0-9][a-z0-9_]*(\\.[a-z0-9][a-z0-9_]*)*", most=128),
            example="order.placed",
        ),
        _part("id", "An id.", text(least=1)),
        _part("sid", "A secret's id.", text(least=1)),
        _part("name", "The random name of a log.", text("[a-z0-9_-]{1,64}")),
        _part("revision", "A revision of the contract.", text("[1-9][0-9]{0,9}"), example="1"),
        _part("consumer", "A consumer, in your words.", text("[a-z0-9][a-z0-9._-]{0,63}"), example="main"),
        _part("epoch", "The epoch of the log.", text("([1-9][0-9]{0,8}|0)"), example="1"),
        _part("index", "The place of an entry, from 0.", text("(0|[1-9][0-9]{0,8})"), example="0"),
        _part("rest", "Level, index and width, as C2SP tlog-tiles says.", example="0/000.p/1"),
        _part("subject", "A subject; a slash in it percent-encoded.", text(least=1, most=249)),
        _part("version", "A version, or `latest`.", text("([0-9]{1,10}|latest|-1)"), example="latest"),
        _part("guid", "A schema's GUID.", {"type": "string", "format": "uuid"}),
        _part("namespace", "A namespace.", text(least=1)),
        _part("code", "An error code.", text("[a-z_]{1,40}")),
        _part("purpose", "What a key signs.", word(*PURPOSES), example="checkpoint"),
        _part("kid", "A key, by its thumbprint (RFC 7638).", text("[A-Za-z0-9_-]{43}")),
    )
}


def path_of(gate: Gate) -> str:
    """The path as the document writes it."""
    return gate.path.replace(":path}", "}")


def operation_ids(gates: Sequence[Gate]) -> Mapping[tuple[str, str], str]:
    """The id of each operation, by method and path: those of a table never change with who asks.

    What is under `/v1/partners/{p}` and also a partner's own is told apart by its ending.
    """
    found: dict[tuple[str, str], str] = {}
    for gate in gates:
        if gate.told is None:
            continue
        named = gate.told.operation
        has_twin = any(one.told is gate.told and one.side != gate.side for one in gates)
        ending = "ForPartner" if gate.side == "named" and has_twin else ""
        ending += "Slash" if gate.path.endswith("/") else ""
        found[gate.method, gate.path] = named + ending
    return found


def codes_of(gate: Gate) -> frozenset[str]:
    """The codes of the catalogue that a gate may answer."""
    codes = _EVERYWHERE | (frozenset() if gate.told is None else gate.told.errors)
    if gate.who:
        codes |= _GUARDED
    if "{" in gate.path:
        codes |= {"not_found"}
    return codes


def describe(gate: Gate, told: Told, operation_id: str) -> dict[str, Any]:
    """The operation of a gate."""
    described: dict[str, Any] = {
        "operationId": operation_id,
        "tags": [told.tag],
        "summary": told.summary,
    }
    about = " ".join(part for part in (told.about, _who(gate)) if part)
    if about:
        described["description"] = about
    parameters = [_parameter(one) for one in _parameters(gate, told)]
    if parameters:
        described["parameters"] = parameters
    if told.body is not None:
        described["requestBody"] = {
            **({"description": told.body.meaning} if told.body.meaning else {}),
            "content": _content(told.body.media),
            "required": told.body.required,
        }
    described["responses"] = {**_replies(told.replies), **_errors(gate)}
    described["security"] = requirements(takes_webhooks=gate.is_event) if gate.who else []
    if gate.who:
        described["x-roles"] = sorted(gate.who)
    if gate.scope is not None:
        described["x-scope"] = gate.scope
    if gate.side != "registry":
        described["x-error-codes"] = sorted(codes_of(gate))
    return described


def may_call(gate: Gate, role: Role | None) -> bool:
    """Whether a role may call a gate; anybody may call what is open. None: all roles."""
    return not gate.who or role is None or role in gate.who


def _who(gate: Gate) -> str:
    if not gate.who:
        return ""
    scope = f", with the scope `{gate.scope}`" if gate.scope else ""
    return f"For {', '.join(sorted(gate.who))}{scope}."


def _parameters(gate: Gate, told: Told) -> Iterator[Parameter]:
    own = {one.name: one for one in told.parameters if one.place == "path"}
    for name in _PART.findall(gate.path):
        yield own[name] if name in own else _PARTS[name]
    for one in told.parameters:
        is_offered = gate.side == "registry" or one.name in gate.offered
        if one.place == "header" or (one.place == "query" and is_offered):
            yield one


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.place,
        "description": one.meaning,
        "required": one.required or one.place == "path",
        "schema": dict(one.schema),
        **({} if one.example is None else {"example": one.example}),
    }


def _content(media: Mapping[str, Shape]) -> dict[str, Any]:
    return {name: {"schema": dict(shape)} for name, shape in media.items()}


def _replies(replies: Sequence[Reply]) -> dict[str, Any]:
    return {
        str(reply.status): {
            "description": reply.meaning,
            "headers": {
                "Request-Id": {"$ref": "#/components/headers/Request-Id"},
                **{
                    name: {"description": meaning, "schema": {"type": "string"}}
                    for name, meaning in reply.headers.items()
                },
            },
            **({"content": _content(reply.media)} if reply.media else {}),
        }
        for reply in replies
    }


def _errors(gate: Gate) -> dict[str, Any]:
    if gate.side == "registry":
        return _registry_errors(gate)
    by_status: dict[int, list[str]] = {}
    for code in sorted(codes_of(gate)):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    taken = {reply.status for reply in gate.told.replies} if gate.told else set()
    return {
        str(status): {
            "description": ", ".join(f"`{code}`" for code in codes),
            "headers": _error_headers(status),
            "content": {MEDIA_TYPE: {"schema": dict(ref("Problem"))}},
        }
        for status, codes in sorted(by_status.items())
        if status not in taken
    }


def _registry_errors(gate: Gate) -> dict[str, Any]:
    told = {**_REGISTRY, **(_REGISTRY_CHANGES if gate.method != "GET" else {}), 422: _REGISTRY_CHANGES[422]}
    return {
        str(status): {
            "description": meaning,
            "headers": _error_headers(status),
            "content": _content(dict.fromkeys(MEDIA_TYPES, ref("RegistryError"))),
        }
        for status, meaning in sorted(told.items())
    }


def _error_headers(status: int) -> dict[str, Any]:
    names = ["Request-Id"]
    names += ["WWW-Authenticate"] if status == 401 else []  # noqa: PLR2004 - HTTP's own
    names += ["Retry-After"] if status in {409, 429, 503} else []
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
