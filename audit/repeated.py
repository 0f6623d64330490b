"""Two entries of what there is one of: a contradiction, or an event that was accepted anew.

Repeats are recognised for a time. One that comes later is accepted under the same ref, by an honest gateway,
too: with the same content, type and attributes, and whatever contract and schema hold by then.

Source: docs/formats.md, sections 2 and 3; docs/verification.md.
"""

from collections.abc import Mapping
from typing import Any

from audit.case import Case
from audit.failures import VerificationError
from audit.papers import expect


def compare_repeated(case: Case, what: str, first: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Say that an event was accepted twice, where both entries are of the same content.

    The digest of the event is not compared: it is over the schema, too, and nobody but the gateway checks it.

    Raises:
        VerificationError: they are not, or of something else than acceptances.
    """
    text = f"{what}: two entries contradict each other; keep these papers"
    is_same = first["kind"] == "event.accepted" and _content(first) == _content(other)
    expect(is_same, text, VerificationError)
    told = f"{what}: the log has more than one, all of the same content"
    case.proved += [told] if told not in case.proved else []
    remark = "that it was posted once: a repeat that comes too late to be recognised is accepted anew"
    case.not_proved += [remark] if remark not in case.not_proved else []


def _content(accepted: Mapping[str, Any]) -> tuple[object, ...]:
    content = accepted.get("content")
    digest = content.get("sha256") if isinstance(content, dict) else None
    return digest, accepted.get("type"), accepted.get("attributes")
