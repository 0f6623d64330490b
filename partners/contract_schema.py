"""The format of a contract file as a JSON Schema, for editors: what it refuses, the gateway refuses too.

The gateway refuses more (names that lead nowhere, endpoints outside their hosts): `gateway contract lint` and
`plan` know all of it. The bounds come from where the reader has them.
Source: JSON Schema 2020-12.
"""

from typing import Any, Final, get_args

from partners import endpoint_form, form, sections
from partners.contract import Compatibility, Framing
from partners.credential import Method
from partners.credential_material import ISSUER, MAX_MATCH
from partners.endpoint import ALL_OPERATIONAL, MAX_CONCURRENCY, MAX_URL_BYTES, SCHEDULES, Format, Order
from partners.event_type import MAX_TYPE, MAX_TYPES, TYPE
from partners.filter import COMPARISONS, MAX_CHECKS, MAX_DEPTH, MAX_LISTED
from partners.partner import RESERVED_SLUGS, SLUG

ID: Final = "https://json-schema.org/draft/2020-12/schema"

_NETWORK: Final = "[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?"


def _any_case(word: str) -> str:
    """A word in whichever case: the regular expressions of JSON Schema have no flag for that."""
    return "".join(f"[{letter}{letter.upper()}]" if letter.isalpha() else letter for letter in word)


_DENIED: Final = "^(?:{})".format(
    "|".join(
        [
            *(f"{_any_case(name)}$" for name in sorted(endpoint_form.DENIED_HEADERS)),
            *map(_any_case, endpoint_form.DENIED_PREFIXES),
        ]
    )
)

Schema = dict[str, Any]


def contract_schema() -> Schema:
    """The JSON Schema of a contract file. It has no `$id`: where a copy of it lies is nobody's business."""
    return {
        "$schema": ID,
        "title": "Contract of the partner gateway",
        "description": "What one partner and we may exchange, and under which terms.",
        **_object(
            {
                "gateway": {"const": "v1", "description": "Version of this format."},
                "partner": {
                    **_pattern(SLUG.pattern, "The partner's slug, for ever: it is in topic names."),
                    "not": {"enum": sorted(RESERVED_SLUGS)},
                },
                "name": _text("The partner's name, for people."),
                "contacts": _contacts(),
                "authentication": _authentication(),
                "sends": _lines("What the partner sends to us, by event type.", is_inbound=True),
                "receives": _lines("What we send to the partner, by event type.", is_inbound=False),
                "limits": _limits(),
                "delivery": _delivery(),
                "endpoints": _endpoints(),
                "topics": _object({"framing": _choice(get_args(Framing), "How schema ids travel.")}),
                "keep": _object(
                    {
                        "content": _duration("How long the bytes of events are kept: whole days."),
                        "evidence": _duration("How long their evidence is kept: whole days."),
                    }
                ),
            },
            needs=("gateway", "partner"),
        ),
    }


def _contacts() -> Schema:
    return {
        "type": "object",
        "description": "E-mail addresses by role.",
        "propertyNames": {"pattern": "^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$"},
        "additionalProperties": {"type": "string", "pattern": "^[^ ]+@[^ ]+$", "maxLength": 254},
        "maxProperties": sections.MAX_CONTACTS,
    }


def _authentication() -> Schema:
    methods = {"items": {"enum": list(get_args(Method))}, "minItems": 1, "uniqueItems": True}
    oauth = {
        "issuer": {**_pattern(ISSUER.pattern, "The issuer of the partner's tokens."), "maxLength": MAX_MATCH},
        "audience": _text("What their `aud` has to name."),
        "subject": _text("What their `sub` has to be."),
    }
    issued = {
        "ca": _path("A PEM file beside this one, of those who issue the certificates."),
        "uri": {**_text("The URI among the alternative names of each."), "maxLength": MAX_MATCH},
    }
    section = _object(
        {
            "accept": {"type": "array", "description": "How the partner may identify itself.", **methods},
            "require_signature": {
                "type": "boolean",
                "description": "Whether every event needs the partner's own signature.",
            },
            "certificates": {
                "type": "array",
                "items": {
                    "anyOf": [_path("A PEM file beside this one."), _object(issued, needs=tuple(issued))]
                },
                "maxItems": sections.MAX_CERTIFICATES,
                "uniqueItems": True,
            },
            "oauth": _object(oauth, needs=tuple(oauth)),
            "addresses": {
                "type": "array",
                "description": "The addresses and networks that its callers come from; none: any.",
                "items": {
                    **_pattern(_NETWORK, "203.0.113.0/24, 2001:db8::/32 or a single address."),
                    "maxLength": sections.MAX_NETWORK,
                },
                "minItems": 1,
                "maxItems": sections.MAX_ADDRESSES,
                "uniqueItems": True,
            },
        }
    )
    signing = {"accept": {"contains": {"enum": sorted(sections.SIGNING)}}}
    demanding = {"properties": {"require_signature": {"const": True}}, "required": ["require_signature"]}
    return {**section, "if": demanding, "then": {"properties": signing, "required": ["accept"]}}


def _lines(words: str, *, is_inbound: bool) -> Schema:
    pointers = {"type": "array", "items": _pointer("Into the event."), "uniqueItems": True}
    members = {
        "schema": _path("The event's Avro schema, a file beside this one."),
        "id": {
            "description": "Where the event's id is: a pointer, several, or who gives it.",
            "anyOf": [
                {"enum": ["required", "generated"]},
                _pointer("To the id in the event."),
                {**pointers, "minItems": 1, "maxItems": sections.MAX_ID_POINTERS},
            ],
        },
        "key": _pointer("To the Kafka key: events of one key keep their order."),
        "time": _pointer("To the event's time."),
        "search": {**pointers, "maxItems": sections.MAX_SEARCH},
        "json": _choice(("plain", "avro"), "Which JSON: plain, or Avro's JSON encoding."),
        "compatibility": _choice(get_args(Compatibility), "What a new schema must not break."),
        "accept_versions": _integer(1, 10, "How many versions of the schema are taken, the newest too."),
    }
    if is_inbound:
        members["forward"] = _object(
            {"to": _pattern(SLUG.pattern, "Another partner."), "as": _type()}, needs=("to",)
        )
    return {
        "type": "object",
        "description": words,
        "propertyNames": _type(),
        "maxProperties": MAX_TYPES,
        "additionalProperties": _object(members, needs=("schema",)),
    }


def _limits() -> Schema:
    return _object(
        {
            "events_per_second": _integer(1, 1_000_000, "Events a second, over all processes."),
            "bytes_per_day": _size("Bytes a day of UTC."),
            "event_bytes": _size("Bytes of one event as it is sent, 16MiB at most."),
            "endpoints": _integer(0, 1_000, "Endpoints that the partner may have."),
            "streams": _integer(0, 1_000, "Streams that it may read at a time."),
        }
    )


def _delivery() -> Schema:
    return _object(
        {
            "retry": _schedule(),
            "order": _choice(get_args(Order), "Which events keep their order."),
            "hold": _duration("How long topics keep what an endpoint does not take, at least."),
        }
    )


def _endpoints() -> Schema:
    declared = {
        "name": _pattern(endpoint_form.NAME.pattern, "The endpoint's name, unique in this file."),
        "url": _url("Where webhooks go."),
        "events": _listened(),
        "order": _choice(get_args(Order), "Which events keep their order."),
        "concurrency": _integer(1, MAX_CONCURRENCY, "Attempts at a time."),
        "rate": {
            "description": "Events a second: 50/s.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 999_999},
                {"type": "string", "pattern": f"^(?:{endpoint_form.RATE.pattern})$"},
            ],
        },
        "retry": _schedule(),
        "filter": _filter(MAX_DEPTH),
        "format": _choice(get_args(Format), "How the body and its headers tell of the event."),
        "headers": {
            "type": "object",
            "description": "Headers of your own that are sent with each POST.",
            "propertyNames": {
                "pattern": f"^(?:{endpoint_form.HEADER.pattern})$",
                "not": {"pattern": _DENIED},
            },
            "additionalProperties": {
                "type": "string",
                "pattern": "^[!-~](?:[ -~]*[!-~])?$",
                "maxLength": endpoint_form.MAX_HEADER_TEXT,
            },
            "maxProperties": endpoint_form.MAX_HEADERS,
        },
    }
    hosts = {"type": "string", "maxLength": 300}
    return _object(
        {
            "hosts": {"type": "array", "items": hosts, "maxItems": sections.MAX_HOSTS, "uniqueItems": True},
            "verification": _choice(sections.VERIFICATIONS, "Whether a new URL has to prove its owner."),
            "declared": {
                "type": "array",
                "items": _object(declared, needs=("name", "url")),
                "maxItems": sections.MAX_DECLARED,
            },
        }
    )


def _filter(depth: int) -> Schema:
    """A filter; what is inside of it has one level less."""
    words = {**_text("A text, which may be empty, or a number with a fraction."), "minLength": 0}
    operand = {"anyOf": [{"type": ["boolean", "number"]}, words]}
    bound = {"anyOf": [{"type": "number"}, _text("A number, a date or an RFC 3339 time.")]}
    check = _object(
        {
            "pointer": _pointer("Into the event's data."),
            "exists": {"type": "boolean"},
            "equals": operand,
            "in": {"type": "array", "items": operand, "maxItems": MAX_LISTED, "uniqueItems": True},
            **dict.fromkeys(COMPARISONS, bound),
        },
        needs=("pointer",),
    )
    shapes = [{**check, "minProperties": 2}]
    if depth > 1:
        inner = _filter(depth - 1)
        listed = {"type": "array", "items": inner, "minItems": 1, "maxItems": MAX_CHECKS}
        shapes += [_object({name: listed}, needs=(name,)) for name in ("all", "any")]
        shapes.append(_object({"not": inner}, needs=("not",)))
    return {"description": "Which events, by their data; without one, all.", "anyOf": shapes}


def _schedule() -> Schema:
    waits = {"type": "array", "items": _duration(""), "minItems": 1, "maxItems": endpoint_form.MAX_ATTEMPTS}
    return {
        "description": "The waits before each attempt: a schedule's name, or a list that begins with 0s.",
        "anyOf": [{"enum": sorted(SCHEDULES)}, waits],
    }


def _object(members: Schema, *, needs: tuple[str, ...] = ()) -> Schema:
    found: Schema = {"type": "object", "properties": members, "additionalProperties": False}
    return {**found, "required": list(needs)} if needs else found


def _text(words: str) -> Schema:
    return {"type": "string", "description": words, "minLength": 1, "maxLength": form.MAX_TEXT}


def _choice(known: tuple[str, ...], words: str) -> Schema:
    return {"enum": list(known), "description": words}


def _integer(low: int, high: int, words: str) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, "description": words}


def _pattern(pattern: str, words: str) -> Schema:
    return {"type": "string", "pattern": f"^(?:{pattern})$", "description": words}


def _listened() -> Schema:
    own = {"const": ALL_OPERATIONAL, "description": "What the gateway itself has to tell."}
    one = {"anyOf": [_type(), own]}
    return {"type": "array", "items": one, "maxItems": MAX_TYPES, "uniqueItems": True}


def _type() -> Schema:
    return {**_pattern(TYPE.pattern, "An event type."), "maxLength": MAX_TYPE}


def _pointer(words: str) -> Schema:
    return {**_pattern(form.POINTER.pattern, f"JSON Pointer. {words}"), "maxLength": form.MAX_POINTER}


def _path(words: str) -> Schema:
    return {**_pattern(form.PATH.pattern, words), "maxLength": form.MAX_PATH}


def _url(words: str) -> Schema:
    return {"type": "string", "description": words, "maxLength": MAX_URL_BYTES}


def _duration(words: str) -> Schema:
    return {**_pattern(form.DURATION.pattern, words), "examples": ["15s", "24h", "90d", "7y"]}


def _size(words: str) -> Schema:
    return {**_pattern(form.SIZE.pattern, words), "examples": ["256KiB", "5GiB"]}
