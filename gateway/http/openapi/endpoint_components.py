"""The named schemas of endpoints: as they are shown, asked for, tried."""

from collections.abc import Mapping
from typing import Final

from gateway.http.shapes import (
    FLAG,
    INSTANT,
    TEXT,
    Shape,
    any_of,
    listed,
    mapped,
    maybe,
    page_of,
    record,
    ref,
    text,
    whole,
    word,
)
from partners.endpoint import MAX_CONCURRENCY, MAX_URL_BYTES
from partners.endpoint_form import FORMATS, MAX_HEADERS, NAME, ORDERS
from partners.event_type import MAX_TYPES

_COUNT: Final = whole()
_STATE: Final = word("unverified", "active", "paused", "disabled")
_FILTER: Final[Shape] = {"type": "object", "description": "See the page on webhooks."}
_RETRY: Final = any_of(TEXT, listed(TEXT))
_TERMS: Final[Mapping[str, Shape]] = {
    "name": TEXT,
    "url": TEXT,
    "events": listed(TEXT),
    "filter": maybe(_FILTER),
    "format": word(*FORMATS),
    "headers": mapped(TEXT),
    "order": word(*ORDERS),
    "concurrency": _COUNT,
    "rate": maybe(_COUNT),
    "retry": _RETRY,
}
_SHOWN: Final = {
    "partner": TEXT,
    **_TERMS,
    "auth": {"type": "object", "description": "Without what is secret."},
    "state": _STATE,
    "declared": FLAG,
}
_WANTED: Final[Mapping[str, Shape]] = {
    "name": maybe(text(NAME.pattern)),
    "url": text(least=1, most=MAX_URL_BYTES),
    "events": maybe(listed(TEXT, most=MAX_TYPES)),
    "filter": maybe(_FILTER),
    "format": maybe(word(*FORMATS)),
    "headers": maybe({**mapped(text(least=1)), "maxProperties": MAX_HEADERS}),
    "order": maybe(word(*ORDERS)),
    "concurrency": maybe(whole(1, MAX_CONCURRENCY)),
    "rate": any_of(whole(1, 999_999), text("[1-9][0-9]{0,5}(/s)?"), {"type": "null"}),
    "retry": any_of(TEXT, listed(TEXT), {"type": "null"}),
    "auth": maybe({"type": "object", "description": "What it demands: see the page on attempts."}),
}
_HEALTH: Final = record(
    {
        "hours": _COUNT,
        "attempts": mapped(_COUNT),
        "p95_ms": maybe(_COUNT),
        "breaker": word("closed", "open"),
        "failing_since": maybe(INSTANT),
        "waiting": _COUNT,
        "lag": _COUNT,
        "oldest_undelivered_at": maybe(INSTANT),
    }
)
_SECRET: Final[Mapping[str, Shape]] = {
    "state": word("active", "ending", "ended"),
    "created_at": INSTANT,
    "until": maybe(INSTANT),
}
_PROBE: Final = record(
    {
        "purpose": word("test", "verification"),
        "type": TEXT,
        "webhook_id": TEXT,
        "content_length": _COUNT,
        "status": maybe(_COUNT),
        "failure": maybe(TEXT),
        "ms": _COUNT,
        "answer": TEXT,
    },
    optional={"endpoint": TEXT},
)


def _closed(members: Mapping[str, Shape], *needed: str) -> Shape:
    always = {name: members[name] for name in needed}
    rest = {name: shape for name, shape in members.items() if name not in needed}
    return {**record(always, optional=rest), "additionalProperties": False}


COMPONENTS: Final[Mapping[str, Shape]] = {
    "Endpoint": record({"id": TEXT, **_SHOWN}, optional={"dry_run": FLAG, "failing_since": maybe(INSTANT)}),
    "EndpointShown": record({"id": TEXT, **_SHOWN, "health": _HEALTH}),
    "EndpointMade": record({"id": TEXT, **_SHOWN}, optional={"secret": TEXT, "secret_shown_before": FLAG}),
    "EndpointPreview": record({**_SHOWN, "dry_run": FLAG}),
    "EndpointPage": page_of(ref("Endpoint")),
    "EndpointMoved": record(
        {"id": TEXT, **_SHOWN, "before": _STATE, "waiting": _COUNT, "skipped": _COUNT},
        optional={"dry_run": FLAG},
    ),
    "EndpointWanted": _closed(_WANTED, "url"),
    "EndpointChange": {**_closed(_WANTED), "minProperties": 1},
    "ResumeWanted": _closed(
        {"backlog": any_of(word("deliver", "skip"), _closed({"since": TEXT}, "since"))}, "backlog"
    ),
    "EndpointSecret": record({"id": TEXT, **_SECRET}),
    "EndpointSecretMade": record(
        {"id": TEXT, **_SECRET}, optional={"secret": TEXT, "secret_shown_before": FLAG}
    ),
    "EndpointSecretPreview": record({**_SECRET, "dry_run": FLAG}),
    "EndpointSecretPage": record(
        {"items": listed(ref("EndpointSecret")), "next": maybe(TEXT)}, optional={"dry_run": FLAG}
    ),
    "EndpointSecretWanted": _closed({"overlap": text("[0-9]{1,6}[smhd]"), "secret": TEXT}),
    "VerifyWanted": _closed({"challenge": TEXT}),
    "TestWanted": _closed({"type": TEXT}),
    "Probe": _PROBE,
    "ProbePreview": record({"purpose": word("test"), "type": TEXT, "dry_run": FLAG}),
}
