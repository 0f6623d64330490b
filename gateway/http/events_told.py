"""The words of the routes that events are posted to."""

from typing import Final

from gateway.http.shapes import ANY, BINARY, TEXT, any_of, listed, ref, text, whole, word
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, Body, Parameter, Reply
from gateway.ingress.form import AVRO, CONFLUENT

NDJSON: Final = "application/x-ndjson"
OF_TYPE: Final = (
    "The type is in the path, and the body is the data: JSON, Avro, or a line of JSON for each event. "
    "The same event again gets the same receipt, with 200."
)
CLOUDEVENTS: Final = (
    "The request is a CloudEvent: in binary mode (`ce-` headers and the data), structured, or a batch. "
    "The same event again gets the same receipt, with 200."
)
_APPLIED: Final = {
    "Preference-Applied": "Which preferences were followed.",
    "RateLimit-Policy": "What the contract allows, or the credential's own rate where that is nearer.",
    "RateLimit": "What is left of it.",
}
_ONE: Final = {
    **_APPLIED,
    "Location": "The event in the history.",
    "Gateway-Receipt": "With `return=minimal`: the receipt, and then there is no body.",
}
REPLIES: Final = (
    Reply(201, "Accepted: the broker has the event.", {JSON: ref("Receipt")}, _ONE),
    Reply(
        200,
        "Accepted before, with the receipt of then; or the answer to a dry run; or the results of a batch.",
        {JSON: any_of(ref("Receipt"), ref("Preview"), ref("BatchResults"))},
        _ONE,
    ),
    Reply(207, "A lenient batch of which a part was taken.", {JSON: ref("BatchResults")}, _APPLIED),
)
ERRORS: Final = (
    *BODY_ERRORS,
    "batch_refused",
    "broker_unavailable",
    "clock_untrusted",
    "content_erased",
    "key_unavailable",
    "event_attribute_invalid",
    "event_conflict",
    "event_id_mismatch",
    "event_id_missing",
    "event_invalid",
    "event_too_large",
    "event_type_missing",
    "event_type_unknown",
    "outcome_unknown",
    "quota_exceeded",
    "registry_unavailable",
    "schema_version_unknown",
    "storage_full",
)
_SCHEMAS: Final = (
    Parameter("schema_version", "Of a bare datum: the version it was written with.", whole(1, 999_999_999)),
    Parameter("schema_id", "Of a bare datum: its schema's id.", whole(1, 999_999_999)),
    Parameter("schema_guid", "Of a bare datum: its schema's GUID.", {"type": "string", "format": "uuid"}),
)
_HEADERS: Final = (
    Parameter(
        "Idempotency-Key",
        "The event's id, where neither the event nor `ce-id` has one. Of a batch: where the contract has ids "
        "made, they are made of this and of the place, so that the batch may be repeated.",
        text("[!-~]([ -~]{0,254}[!-~])?"),
        "header",
        example="A-1001",
    ),
    Parameter(
        "Prefer",
        "How to be answered (RFC 7240): `return=minimal`, `handling=lenient`; others are passed over.",
        text(most=1_024),
        "header",
        example="handling=lenient",
    ),
)
_WEBHOOK: Final = Parameter(
    "credential", "Of a Standard Webhooks sender: the id of its credential.", text(most=64)
)
OF_TYPE_PARAMETERS: Final = (DRY_RUN, *_SCHEMAS, _WEBHOOK, *_HEADERS)
CLOUDEVENTS_PARAMETERS: Final = (
    *OF_TYPE_PARAMETERS,
    Parameter("ce-specversion", "In binary mode.", word("1.0"), "header"),
    Parameter("ce-type", "In binary mode: the event's type.", text(most=256), "header"),
    Parameter("ce-id", "In binary mode: the event's id.", text(most=256), "header"),
    Parameter("ce-source", "In binary mode: who made it.", text(most=1_024), "header"),
)
OF_TYPE_BODY: Final = Body(
    {JSON: ANY, NDJSON: TEXT, AVRO: BINARY, CONFLUENT: BINARY}, "The data of one event, or of one a line."
)
CLOUDEVENTS_BODY: Final = Body(
    {
        "application/cloudevents+json": ref("CloudEvent"),
        "application/cloudevents-batch+json": listed(ref("CloudEvent")),
        NDJSON: TEXT,
        JSON: ANY,
        AVRO: BINARY,
        CONFLUENT: BINARY,
    },
    "A CloudEvent in JSON, a list of them, one a line; or in binary mode the data.",
    required=False,
)
