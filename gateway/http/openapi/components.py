"""The named schemas of the document: what our answers hold, and what bodies have to."""

from collections.abc import Mapping
from typing import Final, get_args

from gateway.http.catalogue import CATALOGUE, Retry
from gateway.http.openapi import (
    anchor_components,
    contract_components,
    credential_components,
    delivery_components,
    endpoint_components,
    erasure_components,
    export_components,
    import_components,
    key_components,
    open_components,
    registry_components,
)
from gateway.http.openapi.credential_components import ALLOWANCE, ROLE, SCOPE_LIST
from gateway.http.shapes import (
    ANY,
    DIGEST,
    DIRECTION,
    FLAG,
    INSTANT,
    REF,
    TEXT,
    Shape,
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

_COUNT: Final = whole()

_FAULT: Final = record(
    {"pointer": TEXT, "code": TEXT, "detail": TEXT},
    optional={"expected": TEXT, "file": TEXT, "line": _COUNT},
)
_RESULT: Final = record(
    {"index": _COUNT, "status": whole(200, 599)},
    optional={"ref": REF, "receipt": TEXT, "problem": ref("Problem")},
)
_BATCH: Final = {
    "accepted": _COUNT,
    "duplicates": _COUNT,
    "refused": _COUNT,
    "results": listed(ref("BatchResult")),
}
_FIRST: Final = record({"ref": REF, "received_at": INSTANT, "event_sha256": DIGEST, "content_sha256": DIGEST})
_SCHEMA: Final = record({"subject": TEXT, "version": _COUNT, "id": _COUNT})
_TOPICS: Final = record({"inbound": TEXT, "outbound": TEXT})
_RECORD: Final = record({"topic": TEXT, "partition": _COUNT}, optional={"offset": _COUNT})
_PLACE: Final = record({"origin": TEXT, "index": _COUNT})
_LINKS: Final = record({"self": TEXT, "proof": TEXT})
_EVENT: Final = {"ref": REF, "id": TEXT, "source": TEXT, "type": TEXT}

_ORIGIN: Final = record(
    {"algorithm": TEXT, "key_id": TEXT, "base": TEXT, "signature": TEXT}, optional={"base_ends_in": TEXT}
)

_SENDING: Final[Mapping[str, Shape]] = {
    "Problem": record(
        {
            "type": TEXT,
            "title": TEXT,
            "status": whole(400, 599),
            "detail": TEXT,
            "code": word(*CATALOGUE),
            "retry": word(*get_args(Retry)),
        },
        optional={
            "request_id": TEXT,
            "hint": TEXT,
            "errors": listed(ref("Fault"), most=100),
            "errors_total": _COUNT,
            "schema": ref("SchemaName"),
            "first": ref("FirstEvent"),
            "offset": _COUNT,
            "line": _COUNT,
            "earliest": TEXT,
            "component": TEXT,
            "holds": listed(TEXT),
            "components": listed(mapped(TEXT)),
            "import": TEXT,
            "probe": ref("Probe"),
            **_BATCH,
            "dry_run": FLAG,
        },
    ),
    "Fault": _FAULT,
    "FirstEvent": _FIRST,
    "SchemaName": _SCHEMA,
    "RecordPlace": _RECORD,
    "LogPlace": _PLACE,
    "CloudEvent": {
        "type": "object",
        "properties": {
            "specversion": word("1.0"),
            "id": text(least=1),
            "source": text(least=1),
            "type": text(least=1),
            "time": INSTANT,
            "subject": text(least=1),
            "datacontenttype": TEXT,
            "dataschema": TEXT,
            "data": ANY,
            "data_base64": TEXT,
        },
        "required": ["specversion", "type"],
        "additionalProperties": True,
    },
    "Receipt": record(
        {
            **_EVENT,
            "received_at": INSTANT,
            "duplicate": FLAG,
            "receipt": TEXT,
            "schema": ref("SchemaName"),
            "contract": _COUNT,
            "record": ref("RecordPlace"),
            "links": _LINKS,
        },
        optional={"dry_run": FLAG},
    ),
    "Preview": record({**_EVENT, "duplicate": FLAG, "dry_run": FLAG, "schema": ref("SchemaName")}),
    "BatchResult": _RESULT,
    "BatchResults": record(_BATCH, optional={"dry_run": FLAG}),
    "ConsumerPlace": record({"cursor": text(least=1, most=8_192)}),
    "Consumer": record(
        {
            "name": TEXT,
            "direction": DIRECTION,
            "types": listed(TEXT),
            "cursor": TEXT,
            "created_at": INSTANT,
            "updated_at": INSTANT,
        },
        optional={"dry_run": FLAG},
    ),
    "ConsumerPage": page_of(ref("Consumer")),
    "StreamPage": record(
        {
            "items": listed(ref("CloudEvent")),
            "recorded_at": listed(INSTANT),
            "cursor": TEXT,
            "caught_up": FLAG,
        }
    ),
}

_HISTORY: Final[Mapping[str, Shape]] = {
    "HistoryItem": record(
        {
            "partner": maybe(TEXT),
            "ref": maybe(REF),
            "id": maybe(TEXT),
            "source": maybe(TEXT),
            "type": maybe(TEXT),
            "direction": maybe(DIRECTION),
            "state": maybe(TEXT),
            "kind": TEXT,
            "at": INSTANT,
            "log": maybe(ref("LogPlace")),
        },
        optional={
            "deliveries": listed(ref("DeliverySummary")),
            "evidence": {"type": "object"},
            "credential": TEXT,
            "erased": FLAG,
            "code": maybe(TEXT),
            "count": _COUNT,
            "faults": listed(mapped(TEXT)),
            "route": TEXT,
            "consumer": TEXT,
            "types": listed(TEXT),
            "topic": TEXT,
            "ranges": listed(record({"partition": _COUNT, "from": _COUNT, "to": _COUNT})),
            "by": record({"role": TEXT, "credential": maybe(TEXT)}),
        },
    ),
    "HistoryPage": page_of(ref("HistoryItem")),
    "Entry": record(
        {"kind": TEXT, "at": INSTANT, "log": ref("LogPlace"), "evidence": {"type": "object"}},
        optional={"erased": ref("Erased")},
    ),
    "DeliverySummary": record(
        {"endpoint": TEXT, "name": maybe(TEXT), "attempts": _COUNT},
        optional={"state": maybe(TEXT), "reason": maybe(TEXT), "at": INSTANT},
    ),
    "EventTimeline": record(
        {
            "ref": REF,
            "id": maybe(TEXT),
            "source": maybe(TEXT),
            "type": maybe(TEXT),
            "direction": maybe(DIRECTION),
            "received_at": INSTANT,
            "state": maybe(TEXT),
            "entries": listed(ref("Entry")),
            "deliveries": listed(ref("DeliverySummary")),
            "proof": word("logged", "pending"),
            "links": _LINKS,
        },
        optional={
            "receipt": TEXT,
            "schema": ref("SchemaName"),
            "contract": _COUNT,
            "record": ref("RecordPlace"),
            "origin": _ORIGIN,
            "erased": ref("Erased"),
        },
    ),
}

_REVOKED: Final = {"revoked_keys": listed(ref("RevokedKey"))}
_LOG: Final = record(
    {"origin": TEXT, "url": TEXT, "keys": listed(TEXT)}, optional={"ended_keys": listed(TEXT), **_REVOKED}
)
_LIMITS: Final = record(
    {
        "events_per_second": maybe(_COUNT),
        "bytes_per_day": maybe(_COUNT),
        "streams": _COUNT,
        "endpoints": _COUNT,
        "left": mapped(record({"left": _COUNT, "reset_seconds": _COUNT})),
        "event_bytes": _COUNT,
        "batch_events": _COUNT,
        "batch_bytes": _COUNT,
    }
)
_REVISION: Final = record(
    {
        "revision": _COUNT,
        "applied_at": INSTANT,
        "applied_by": TEXT,
        "file_name": TEXT,
        "sha256": DIGEST,
    }
)
_LINE: Final = record(
    {
        "type": TEXT,
        "direction": DIRECTION,
        "id": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "key": maybe(TEXT),
        "time": maybe(TEXT),
        "json": word("plain", "avro"),
        "compatibility": TEXT,
        "subject": TEXT,
        "versions": listed(record({"version": _COUNT, "id": _COUNT})),
        "links": record({"schema": TEXT, "sample": TEXT}),
    }
)
_ACCOUNT: Final[Mapping[str, Shape]] = {
    "Me": record(
        {
            "role": ROLE,
            "scopes": SCOPE_LIST,
            **ALLOWANCE,
            "credential": record({"id": TEXT, "name": TEXT, "expires_at": maybe(INSTANT)}),
            "server_time": INSTANT,
            "origin": TEXT,
            "partner": maybe(record({"slug": TEXT, "name": TEXT, "state": TEXT})),
        },
        optional={"contract": maybe(_COUNT), "limits": maybe(_LIMITS), "logs": listed(_LOG)},
    ),
    "ContractShown": record(
        {
            "partner": TEXT,
            "revision": _COUNT,
            "file_name": TEXT,
            "contract": TEXT,
            "files": mapped(TEXT),
            "sha256": DIGEST,
        },
        optional={"topics": _TOPICS},
    ),
    "Revision": _REVISION,
    "RevisionPage": page_of(ref("Revision")),
    "TypeLine": _LINE,
    "TypePage": page_of(ref("TypeLine")),
    "TypeShown": record({"type": TEXT, "directions": listed(ref("TypeLine"))}),
}

_PARTNER: Final = {
    "slug": TEXT,
    "name": TEXT,
    "state": word("provisioning", "active", "suspended", "closed"),
    "contract": maybe(_COUNT),
    "log": TEXT,
    "topics": _TOPICS,
}
_ENDPOINT: Final = record(
    {
        "id": TEXT,
        "name": maybe(TEXT),
        "url": TEXT,
        "events": listed(TEXT),
        "state": TEXT,
        "order": TEXT,
        "concurrency": _COUNT,
        "rate": maybe({"type": "number"}),
    }
)
_LAG: Final = record(
    {"partner": TEXT, "topic": TEXT, "partition": _COUNT, "end": _COUNT},
    optional={"reader": TEXT, "relay": {"type": "integer"}, "sequence": {"type": "integer"}},
)

_OPERATOR: Final[Mapping[str, Shape]] = {
    "Partner": record(_PARTNER),
    "PartnerPage": page_of(ref("Partner")),
    "PartnerShown": record({**_PARTNER, "endpoints": listed(_ENDPOINT)}),
    "PartnerMoved": record(
        {**_PARTNER, "before": _PARTNER["state"], "changed": FLAG, "waiting": _COUNT},
        optional={"dry_run": FLAG},
    ),
    "MoveWanted": {**record({"reason": text(least=1, most=1_000)}), "additionalProperties": False},
    "Status": record(
        {
            "at": INSTANT,
            "revision": _COUNT,
            "partners": _COUNT,
            "roles": listed(TEXT),
            "broker": record({"state": TEXT, "away_ms": _COUNT}, optional={"reason": TEXT}),
            "logs": listed(record({"origin": TEXT, "size": _COUNT, "published": _COUNT})),
            "lag": listed(_LAG),
            "claims": record({"unconfirmed": _COUNT}),
            "deliveries": record({"states": mapped(_COUNT), "oldest_at": maybe(INSTANT), "backlog": _COUNT}),
            "warnings": listed(TEXT),
        },
        optional={"anchor": ref("AnchorStanding")},
    ),
}

SCHEMAS: Final[Mapping[str, Shape]] = {
    **_SENDING,
    **_HISTORY,
    **_ACCOUNT,
    **_OPERATOR,
    **anchor_components.COMPONENTS,
    **contract_components.COMPONENTS,
    **credential_components.COMPONENTS,
    **delivery_components.COMPONENTS,
    **endpoint_components.COMPONENTS,
    **erasure_components.COMPONENTS,
    **export_components.COMPONENTS,
    **import_components.COMPONENTS,
    **key_components.COMPONENTS,
    **open_components.COMPONENTS,
    **registry_components.SCHEMAS,
}
"""By name."""
