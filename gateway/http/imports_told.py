"""The words of the routes of imports."""

from typing import Final

from gateway.http.shapes import BINARY, TEXT, text, word
from gateway.http.told import Parameter
from gateway.imports.job import CONTAINER, NDJSON
from gateway.imports.results import KINDS

CREATE: Final = (
    "For files far larger than a batch. The body is kept first, whole; then its events are taken in order, "
    "as by lenient batches: a refused one stops no other. With `type` each line is data of that type, "
    "without it a CloudEvent. A container file needs `type`, and a schema that the contract accepts."
)
RESULTS: Final = (
    "Kept for as long as the import is. Of an event that was taken: `ref` and `receipt`; else the `problem`."
)
MEDIA: Final = {NDJSON: TEXT, CONTAINER: BINARY}
TYPE: Final = Parameter(
    "type",
    "The type of the data; without it each line is a CloudEvent.",
    text("[a-z0-9][a-z0-9_]*(\\.[a-z0-9][a-z0-9_]*)*", most=128),
    example="order.placed",
)
KEY: Final = Parameter(
    "Idempotency-Key",
    "The same key with the same body is the same import. A dry run has none.",
    text("[!-~]([ -~]{0,254}[!-~])?"),
    "header",
    example="orders-2026-11",
)
IMPORT_ID: Final = Parameter(
    "id", "An import.", text("imp_[a-z2-7]{26}"), place="path", example="imp_aaaaaaaaaaaaaaaaaaaaaaaaaa"
)
STATE: Final = Parameter("state", "Only results of this kind.", word(*KINDS), example="refused")
CREATE_ERRORS: Final = (
    "event_too_large",
    "event_type_missing",
    "event_type_unknown",
    "idempotency_conflict",
    "limit_reached",
    "outcome_unknown",
    "schema_version_unknown",
    "state_conflict",
    "storage_full",
)
