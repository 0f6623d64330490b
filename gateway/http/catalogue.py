"""The error catalogue: one code, one status, for ever. The only place where a refusal gets its HTTP status.

`docs/errors.md` and the pages under `/errors/{code}` are rendered from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Retry = Literal["no", "later", "as_is"]
"""`no`: change something first. `later`: wait, then repeat. `as_is`: repeat this very request."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means: HTTP status, title, whether to repeat, and how to mend it."""

    status: int
    title: str
    retry: Retry
    mend: str


def _row(status: int, title: str, mend: str, retry: Retry = "no") -> Meaning:
    return Meaning(status, title, retry, mend)


CATALOGUE: Final[Mapping[str, Meaning]] = {
    "request_malformed": _row(
        400,
        "Request is not well-formed HTTP",
        "Send the request as `detail` says; the connection was closed.",
    ),
    "parameter_invalid": _row(
        400, "Parameter is not allowed", "Take the parameter out, or give it a value that `detail` names."
    ),
    "body_malformed": _row(
        400, "Body cannot be read", "Send one JSON text in UTF-8; `offset` and `line` say where it breaks."
    ),
    "cursor_invalid": _row(
        400,
        "Cursor is not one of ours",
        "Start again without a cursor; a cursor belongs to one partner and one filter.",
    ),
    "credential_missing": _row(
        401, "No credential", "Send `Authorization: Bearer KEY`, or Basic with the key as user name."
    ),
    "credential_invalid": _row(
        401,
        "Credential is not known",
        "See `detail`: the whole key must be copied; a certificate or token must be the one agreed.",
    ),
    "credential_expired": _row(401, "Credential has expired", "Ask for a new key."),
    "credential_revoked": _row(401, "Credential was revoked", "Ask for a new key."),
    "signature_invalid": _row(
        401,
        "Signature does not fit",
        "Sign the components that `detail` names, over the bytes that are sent.",
    ),
    "signature_stale": _row(
        401, "Signature is too old or too new", "Set the clock right, and sign each request anew."
    ),
    "signature_replayed": _row(401, "Signature was used before", "Sign each request anew, with a new nonce."),
    "scope_missing": _row(
        403,
        "Credential may not do this",
        "Use a credential of the role, scope or event types that `detail` names.",
    ),
    "partner_suspended": _row(
        403, "Partner is suspended", "Ask the operator; nothing sent meanwhile is taken."
    ),
    "source_address_denied": _row(403, "Address is not allowed", "Call from an address that was agreed."),
    "not_found": _row(
        404, "Not found", "Check the path and the id; what belongs to others is not found either."
    ),
    "method_not_allowed": _row(
        405, "Method is not allowed here", "Use a method that the `Allow` header names."
    ),
    "not_acceptable": _row(406, "No such representation", "Ask for a media type that `detail` names."),
    "event_conflict": _row(
        409,
        "Another event has this id",
        "Give a changed event an id of its own; `first` describes the event that has it.",
    ),
    "idempotency_conflict": _row(
        409, "Key was used for another request", "Use a new `Idempotency-Key` for a new request."
    ),
    "state_conflict": _row(409, "Not possible in this state", "See `detail` for the state that it is in."),
    "limit_reached": _row(409, "As many as there may be", "Take one away first, or ask for a higher limit."),
    "schema_incompatible": _row(
        409, "Schema is incompatible", "Change the schema, or allow incompatible changes if that is meant."
    ),
    "change_destructive": _row(
        409, "Change takes something away", "Allow destructive changes if that is meant."
    ),
    "held": _row(409, "Held back from erasure", "The hold must be lifted first."),
    "proof_pending": _row(
        409, "Proof is not there yet", "Ask again after `Retry-After`, or with `?wait=20`.", "later"
    ),
    "content_erased": _row(410, "Content was erased", "Nothing brings it back; the log entry stays."),
    "content_expired": _row(410, "Content is no longer kept", "Nothing brings it back; the log entry stays."),
    "cursor_expired": _row(
        410,
        "Cursor points at what is gone",
        "Go on with the cursor in `earliest`; what lies between is gone from the topic.",
    ),
    "precondition_failed": _row(
        412, "Somebody else changed it first", "Read it again, then repeat the change with the new `ETag`."
    ),
    "body_too_large": _row(413, "Body is too large", "Send less at once; `detail` names the limit."),
    "event_too_large": _row(
        413, "Event is too large", "Make the event smaller; `detail` names the limit and whose it is."
    ),
    "media_type_unsupported": _row(
        415, "Media type is not taken here", "Send one of the media types in `Accept-Post`."
    ),
    "content_encoding_unsupported": _row(
        415, "Content encoding is not taken", "Send the body plain, or with one `gzip` coding."
    ),
    "event_type_missing": _row(422, "Event has no type", "Name the type in the path, or as `ce-type`."),
    "event_type_unknown": _row(
        422, "Event type is not in the contract", "`detail` lists the types of the contract."
    ),
    "event_id_missing": _row(422, "Event has no id", "Give the id where `detail` says."),
    "event_id_mismatch": _row(422, "Event has two different ids", "Send the id once, or the same twice."),
    "event_attribute_invalid": _row(
        422, "Event attribute is not allowed", "`errors[].pointer` names the attribute."
    ),
    "event_invalid": _row(
        422, "Event does not match its schema", "Mend what `errors` lists and send it again with the same id."
    ),
    "schema_version_unknown": _row(
        422, "Schema version is not accepted", "Use a version that the contract accepts."
    ),
    "batch_refused": _row(
        422,
        "Nothing of this batch was taken",
        "Mend the events that `results` names, or send `Prefer: handling=lenient`.",
    ),
    "endpoint_invalid": _row(422, "Endpoint is not allowed", "Use a URL as `detail` says."),
    "endpoint_address_denied": _row(422, "Endpoint's address is not allowed", "Use a public address."),
    "endpoint_verification_failed": _row(
        422, "Endpoint did not answer the challenge", "Echo the challenge, or post it to the verify route."
    ),
    "acknowledgement_invalid": _row(
        422, "Acknowledgement cannot be verified", "Sign it with a key that the contract names."
    ),
    "contract_invalid": _row(
        422, "Contract file has errors", "`errors` names file, line and pointer of each."
    ),
    "schema_invalid": _row(
        422, "Schema must not be used", "`detail` names the rule and the place in the schema."
    ),
    "quota_exceeded": _row(429, "More than was agreed", "Wait as long as `Retry-After` says.", "later"),
    "internal": _row(
        500, "We made a mistake", "Repeat the request; tell us the `request_id` if it happens again.", "as_is"
    ),
    "overloaded": _row(503, "Too much at once", "Wait as long as `Retry-After` says, then repeat.", "later"),
    "broker_unavailable": _row(
        503, "The broker is away", "Repeat the same request later; nothing was taken.", "later"
    ),
    "registry_unavailable": _row(
        503, "The schema registry is away", "Repeat the same request later; nothing was changed.", "later"
    ),
    "issuer_unavailable": _row(
        503, "The token's issuer is away", "Repeat the same request later; nothing was taken.", "later"
    ),
    "store_unavailable": _row(
        503, "The database is away", "Repeat the same request later; nothing was taken.", "later"
    ),
    "storage_full": _row(
        503, "No room left", "Repeat the same request later; an operator must make room.", "later"
    ),
    "clock_untrusted": _row(
        503, "Clocks disagree", "Repeat the same request later; an operator must set a clock right.", "later"
    ),
    "key_unavailable": _row(
        503,
        "No key signs now",
        "Repeat the same request later; an operator must make a key or bring its token back.",
        "later",
    ),
    "outcome_unknown": _row(
        503, "Outcome is not known yet", "Repeat the same request: same id, same receipt.", "as_is"
    ),
}

AS: Final[Mapping[str, str]] = {
    "slug_invalid": "contract_invalid",
    "endpoint_changed": "precondition_failed",
    "endpoint_terms_invalid": "endpoint_invalid",
    "credential_terms_invalid": "parameter_invalid",
    "broker_refused": "broker_unavailable",
    "log_entry_unknown": "not_found",
    "proof_malformed": "not_found",
    "evidence_too_large": "event_too_large",
    "framing_invalid": "body_malformed",
    "subject_invalid": "contract_invalid",
}
"""Codes of the lower packages that are a caller's matter under another name; all others are our mistake."""

RETRY_AFTER_SECONDS: Final[Mapping[str, int]] = {
    "proof_pending": 1,
    "quota_exceeded": 1,
    "overloaded": 1,
    "broker_unavailable": 2,
    "registry_unavailable": 2,
    "issuer_unavailable": 5,
    "store_unavailable": 2,
    "storage_full": 30,
    "clock_untrusted": 30,
    "key_unavailable": 5,
    "outcome_unknown": 1,
}
"""When to come again; every 503 is here."""


def public_code(code: str) -> str:
    """The code of the catalogue for a code of any package; `internal` for what is no caller's."""
    code = AS.get(code, code)
    return code if code in CATALOGUE else "internal"


def render_markdown() -> str:
    """The text of docs/errors.md."""
    lines = [*_INTRODUCTION]
    rows = sorted(CATALOGUE.items(), key=lambda row: row[1].status)
    lines += [f"| {one.status} | `{code}` | {one.title} | {one.retry} | {one.mend} |" for code, one in rows]
    return "\n".join([*lines, "", *_FAULTS, ""])


_INTRODUCTION: Final = (
    "# Errors",
    "",
    "Every refusal is a problem document (RFC 9457, `application/problem+json`). Branch on `code`: it has",
    "one status, for ever. `retry` says whether to repeat: `no` (change something first), `later` (wait for",
    "`Retry-After`), `as_is` (repeat this very request; its fate is unknown). Each code has a page at",
    "`/errors/{code}`. Rendered from `gateway/http/catalogue.py`; a test keeps the two equal.",
    "",
    "| status | code | title | retry | how to mend it |",
    "|---|---|---|---|---|",
)
_FAULTS: Final = (
    "## Items of `errors[]`",
    "",
    "`pointer` (RFC 6901), `code`, `detail`, and `expected` where a type is at fault; for contract files",
    "also `file` and `line`. Codes of a fault in an event: `missing` `unknown_field` `type` `range` `length`",
    "`enum` `format` `precision` `union` `depth` `duplicate_key` `encoding` `trailing_bytes`. Values are",
    "never echoed.",
)
