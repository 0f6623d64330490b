"""By what an event went out that nobody accepted: what the attempts to deliver it say of that.

What a team's own producer put on a topic has no receipt. Contract, schema and record are named by each
attempt then; one that was written down before attempts named them, or did not know them, names none.

Source: docs/formats.md, section 3, `delivery.attempted`; docs/verification.md.
"""

from typing import Any, Final

from audit.case import Case, Sentence, say

_KIND: Final = "delivery.attempted"
_TERMS: Final = (
    "sent {id!r} under revision {contract} of the contract and schema SHA-256 {schema[fingerprint]}"
)
_RECORD: Final = "read {id!r} at offset {record[offset]} of {record[topic]} [{record[partition]}]"
_DIGEST: Final = ", with data of SHA-256 {record[sha256]}"


def add_terms(case: Case) -> dict[tuple[str, str], str]:
    """Say what attempts name; returns the schemas among it, as files of a bundle by name and SHA-256.

    Raises:
        MalformedError: an attempt has other members than it should.
    """
    named: dict[tuple[str, str], str] = {}
    for one in case.records.values():
        if one["kind"] == _KIND and one.get("schema") is not None:
            _add(case, _TERMS, one)
            named["schema.json", str(one["schema"]["fingerprint"])] = _KIND
        if one["kind"] == _KIND and one.get("record") is not None:
            is_known = isinstance(one["record"], dict) and one["record"].get("sha256") is not None
            _add(case, _RECORD + (_DIGEST if is_known else ""), one)
    return named


def _add(case: Case, form: str, attempt: dict[str, Any]) -> None:
    case.proved.append(Sentence().format("attempt {} says: ", attempt.get("attempt")) + say(form, attempt))
