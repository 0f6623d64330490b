"""What an entry is found by."""

from typing import Any

import pytest

from audit.entry import draft_entry
from audit.evidence import Kind
from tests.unit.audit.builders import evidence


@pytest.mark.parametrize(
    ("kind", "members", "expected"),
    [
        (Kind.PARTNER_CHANGED, {"action": "suspended", "reason": "unpaid since May"}, "suspended"),
        (Kind.CREDENTIAL_CHANGED, {"action": "revoked", "reason": "leaked"}, "revoked"),
        (Kind.ATTEMPTED, {"outcome": "retry", "reason": "timed_out"}, "retry"),
        (Kind.PARKED, {"reason": "client_error"}, "client_error"),
        (Kind.EPOCH_OPENED, {"reason": "a backup of Monday"}, None),
    ],
)
def test_what_somebody_wrote_is_no_code(kind: Kind, members: dict[str, Any], expected: str | None) -> None:
    assert draft_entry(evidence(1, kind=kind, **members)).code == expected
