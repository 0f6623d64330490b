"""The named schemas of signing keys."""

from collections.abc import Mapping
from typing import Final

from gateway.http.shapes import (
    FLAG,
    INSTANT,
    TEXT,
    Shape,
    listed,
    maybe,
    page_of,
    record,
    ref,
    text,
    whole,
    word,
)
from gateway.http.told import SPAN, TIME
from gateway.keys import PURPOSES, STATES

_MOST_REASON: Final = 1_000
_LABEL: Final = text(least=1, most=255)
_KEY_ID: Final = text("[A-Za-z0-9_-]{43}")
_HISTORY: Final[Mapping[str, Shape]] = {
    "state": word(*STATES),
    "public_key": TEXT,
    "created_at": INSTANT,
    "signs_from": INSTANT,
    "ends_at": maybe(INSTANT),
    "compromised_at": maybe(INSTANT),
}

COMPONENTS: Final[Mapping[str, Shape]] = {
    "KeyHistory": record(_HISTORY),
    "RevokedKey": record(
        {"key": TEXT, "revoked": record({"revoked_at": whole(0), "reason": word("compromised")})}
    ),
    "SigningKey": record(
        {
            "id": _KEY_ID,
            "purpose": word(*PURPOSES),
            **_HISTORY,
            "reason": maybe(TEXT),
            "held_in": word("database", "pkcs11"),
            "label": maybe(TEXT),
        }
    ),
    "SigningKeyPage": page_of(ref("SigningKey")),
    "SigningKeyChange": record(
        {"key": maybe(ref("SigningKey")), "others": listed(ref("SigningKey"))}, optional={"dry_run": FLAG}
    ),
    "RotationWanted": record({}, optional={"overlap": text(SPAN), "starts_in": text(SPAN), "label": _LABEL}),
    "FreezeWanted": record(
        {"reason": text(least=1, most=_MOST_REASON)},
        optional={"since": text(f"({SPAN}|{TIME})"), "key": _KEY_ID, "label": _LABEL},
    ),
}
