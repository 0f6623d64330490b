"""CloudEvents that are none, or could be read in two ways: each has its code, and none makes an event."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.builders import ORIGIN, open_house

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/erp",
    "type": "order.placed",
    "data": {"order_id": "A-1", "qty": 1},
}
HEADERS = {
    "ce-specversion": "1.0",
    "ce-id": "A-1",
    "ce-source": "/erp",
    "ce-type": "order.placed",
    "content-type": "application/json",
}
BODY = b'{"order_id":"A-1","qty":1}'
ATTRIBUTE = (422, "event_attribute_invalid")
EVENT_TYPE = "application/cloudevents+json"


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in EVENT.items() if name not in names}


BINARY: list[tuple[dict[str, str], tuple[int, str], str | None]] = [
    ({"ce-subject": "%"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "%zz"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "100% sure"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "%ff"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "%c0%80"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "%ed%a0%80"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "%00"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "%0a"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "%c2%85"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "%ef%bf%bf"}, ATTRIBUTE, "/subject"),
    ({"ce-subject": '"open'}, ATTRIBUTE, "/subject"),
    ({"ce-subject": '"a" "b"'}, ATTRIBUTE, "/subject"),
    ({"ce-subject": '""'}, ATTRIBUTE, "/subject"),
    ({"ce-subject": ""}, ATTRIBUTE, "/subject"),
    ({"ce-subject": "x" * 1_025}, ATTRIBUTE, "/subject"),
    ({"ce-id": "%20" * 257}, ATTRIBUTE, "/id"),
    ({"ce-source": "x" * 513}, ATTRIBUTE, "/source"),
    ({"ce-time": "2026-11-22"}, ATTRIBUTE, "/time"),
    ({"ce-time": "2026-11-22T13:05:00"}, ATTRIBUTE, "/time"),
    ({"ce-time": "2026-02-30T13:05:00Z"}, ATTRIBUTE, "/time"),
    ({"ce-time": "2026-11-22T25:05:00Z"}, ATTRIBUTE, "/time"),
    ({"ce-specversion": "0.3"}, ATTRIBUTE, "/specversion"),
    ({"ce-specversion": "1.1"}, ATTRIBUTE, "/specversion"),
    ({"ce-dataschema": "order.json"}, ATTRIBUTE, "/dataschema"),
    ({"ce-dataschema": f"{ORIGIN}/v1/schemas/999"}, (422, "schema_version_unknown"), None),
    ({"ce-dataschema": f"{ORIGIN}/v1/schemas/2"}, (422, "schema_version_unknown"), None),
    ({"ce-dataschema": f"{ORIGIN}/v1/me"}, (422, "schema_version_unknown"), None),
    ({"ce-datacontenttype": "application/json"}, ATTRIBUTE, "/datacontenttype"),
    ({"ce-data": "x"}, ATTRIBUTE, "/data"),
    ({"ce-data_base64": "eA=="}, ATTRIBUTE, "/data_base64"),
    ({"ce-": "x"}, ATTRIBUTE, "/"),
    ({"ce-a-b": "x"}, ATTRIBUTE, "/a-b"),
    ({"ce-abcdefghijklmnopqrstu": "x"}, ATTRIBUTE, "/abcdefghijklmnopqrstu"),
    ({"ce-type": "order.cancelled"}, (422, "event_type_unknown"), None),
    ({"ce-id": "B-1"}, (422, "event_id_mismatch"), None),
    ({"content-type": "application/cloudevents"}, (415, "media_type_unsupported"), None),
    ({"content-type": "application/cloudevents+xml"}, (415, "media_type_unsupported"), None),
    ({"content-type": "application/cloudevents-batch"}, (415, "media_type_unsupported"), None),
    ({"content-type": "application/json; charset=utf-16"}, (415, "media_type_unsupported"), None),
    ({"content-type": "text/plain"}, (415, "media_type_unsupported"), None),
    ({f"ce-a{number}": "x" for number in range(33)}, ATTRIBUTE, ""),
    ({f"ce-a{number}": "x" * 1_000 for number in range(3)}, ATTRIBUTE, ""),
]
STRUCTURED: list[tuple[object, tuple[int, str], str | None]] = [
    (b"", (400, "body_malformed"), None),
    (b"{", (400, "body_malformed"), None),
    (b"\xef\xbb\xbf{}", (400, "body_malformed"), None),
    (json.dumps(EVENT).encode("utf-16"), (400, "body_malformed"), None),
    (json.dumps(EVENT).encode() + b"{}", (400, "body_malformed"), None),
    ([EVENT], ATTRIBUTE, ""),
    (1, ATTRIBUTE, ""),
    (without("specversion"), ATTRIBUTE, "/specversion"),
    ({**EVENT, "specversion": None}, ATTRIBUTE, "/specversion"),
    ({**EVENT, "specversion": 1.0}, ATTRIBUTE, "/specversion"),
    ({**EVENT, "specversion": "0.3"}, ATTRIBUTE, "/specversion"),
    ({**EVENT, "id": 1}, ATTRIBUTE, "/id"),
    ({**EVENT, "id": ""}, ATTRIBUTE, "/id"),
    ({**EVENT, "source": {}}, ATTRIBUTE, "/source"),
    ({**EVENT, "time": 1_795_353_600}, ATTRIBUTE, "/time"),
    ({**EVENT, "subject": "\ud800"}, ATTRIBUTE, "/subject"),
    ({**EVENT, "subject": "a\u0000"}, ATTRIBUTE, "/subject"),
    ({**EVENT, "tenant": [1]}, ATTRIBUTE, "/tenant"),
    ({**EVENT, "tenant": {"a": 1}}, ATTRIBUTE, "/tenant"),
    ({**EVENT, "tenant": 1.5}, ATTRIBUTE, "/tenant"),
    ({**EVENT, "tenant": 2**31}, ATTRIBUTE, "/tenant"),
    ({**EVENT, "tenant": 10**30}, ATTRIBUTE, "/tenant"),
    ({**EVENT, "Tenant": "x"}, ATTRIBUTE, "/Tenant"),
    ({**EVENT, "data_base64": "e30="}, ATTRIBUTE, "/data_base64"),
    ({**without("data"), "data_base64": "e30"}, ATTRIBUTE, "/data_base64"),
    ({**without("data"), "data_base64": {}}, ATTRIBUTE, "/data_base64"),
    ({**without("data"), "data_base64": "ew=="}, (400, "body_malformed"), None),
    ({**without("data"), "data_base64": "e30="}, (422, "event_invalid"), "/order_id"),
    ({**EVENT, "datacontenttype": "application/xml"}, ATTRIBUTE, "/datacontenttype"),
    ({**EVENT, "datacontenttype": "application/json; charset=latin1"}, ATTRIBUTE, "/datacontenttype"),
    (without("data"), (422, "event_invalid"), ""),
    ({**EVENT, "data": None}, (422, "event_invalid"), ""),
    ({**EVENT, "data": "{}"}, (422, "event_invalid"), ""),
    (without("type"), (422, "event_type_missing"), None),
    (b'{"id":"A-1",' + json.dumps(EVENT).encode()[1:], ATTRIBUTE, "/id"),
    (b'{"data":{},' + json.dumps(EVENT).encode()[1:], ATTRIBUTE, "/data"),
]


def requests() -> Iterator[tuple[dict[str, str], bytes, tuple[int, str], str | None]]:
    """Headers, body, status with code, and the pointer of a fault that must be told."""
    for changes, wanted, pointer in BINARY:
        yield HEADERS | changes, BODY, wanted, pointer
    for members, wanted, pointer in STRUCTURED:
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        yield {"content-type": EVENT_TYPE}, body, wanted, pointer


async def test_every_hostile_cloudevent_has_its_code_and_none_is_taken(tmp_path: Path) -> None:
    wrong = []
    async with open_house(tmp_path, partners=("acme", "globex")) as house, house.client("acme") as client:
        for headers, body, wanted, pointer in requests():
            answer = await client.post("/v1/events", content=body, headers=headers)
            document = answer.json()
            pointers = [one["pointer"] for one in document.get("errors", [])]
            if (answer.status_code, document["code"]) != wanted or pointer not in {None, *pointers}:
                wrong.append((headers, body[:80], answer.status_code, document))
        listed = (await client.get("/v1/history?state=accepted&direction=inbound")).json()["items"]
        honest = await client.post("/v1/events", content=BODY, headers=HEADERS)
    assert wrong == []
    assert (listed, honest.status_code) == ([], 201)
