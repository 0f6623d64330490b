"""The named schemas of credentials: as they are shown, asked for, narrowed."""

from collections.abc import Mapping
from typing import Any, Final, get_args

from gateway.auth.public_key import Algorithm
from gateway.http.shapes import (
    DIGEST,
    FLAG,
    INSTANT,
    SCOPES,
    TEXT,
    Shape,
    any_of,
    listed,
    maybe,
    page_of,
    record,
    ref,
    text,
    whole,
    word,
)
from partners.allowance import MAX_RATE
from partners.credential import METHODS, Role
from partners.event_type import MAX_TYPE, MAX_TYPES, TYPE

ROLE: Final = word(*get_args(Role))
SCOPE_LIST: Final = listed(word(*SCOPES))

_TYPES: Final = listed(text(TYPE.pattern, most=MAX_TYPE), most=MAX_TYPES)
_RATE: Final = whole(1, MAX_RATE)
ALLOWANCE: Final = {"send_types": maybe(_TYPES), "events_per_second": maybe(_RATE)}
"""What it may send, where that is less than its partner may."""

_SHOWN: Final = {
    "partner": maybe(TEXT),
    "kind": word(*METHODS),
    "role": ROLE,
    "name": TEXT,
    "scopes": SCOPE_LIST,
    **ALLOWANCE,
    "state": word("active", "expired", "revoked"),
    "expires_at": maybe(INSTANT),
    "last_used_at": maybe(INSTANT),
    "revoked_at": maybe(INSTANT),
}
_MADE: Final = {"id": TEXT, "created_at": INSTANT}
_OF_KINDS: Final = {
    "reason": maybe(TEXT),
    "effective_by": INSTANT,
    "key_id": TEXT,
    "algorithm": word(*get_args(Algorithm)),
    "sha256": DIGEST,
    "uri": TEXT,
    "ca_sha256": listed(DIGEST),
    "issuer": TEXT,
    "subject": TEXT,
    "signature": word("v1", "v1a"),
    "dry_run": FLAG,
}
_NARROWED: Final = {
    "name": text(most=100),
    "scopes": {**SCOPE_LIST, "minItems": 1},
    "expires_at": TEXT,
    "send_types": maybe({**_TYPES, "minItems": 1}),
    "events_per_second": maybe(_RATE),
}
_WANTED: Final = {
    **_NARROWED,
    "kind": word(*METHODS),
    "role": ROLE,
    "certificate": TEXT,
    "ca": TEXT,
    "uri": TEXT,
    "public_key": any_of(TEXT, {"type": "object"}),
    "issuer": TEXT,
    "subject": TEXT,
    "audience": TEXT,
    "secret": TEXT,
}


def _closed(members: Mapping[str, Shape], **more: Any) -> Shape:
    return {**record({}, optional=members), "additionalProperties": False, **more}


COMPONENTS: Final[Mapping[str, Shape]] = {
    "Credential": record({**_MADE, **_SHOWN}, optional=_OF_KINDS),
    "CredentialMade": record(
        {**_MADE, **_SHOWN}, optional={**_OF_KINDS, "secret": TEXT, "secret_shown_before": FLAG}
    ),
    "CredentialPreview": record({**_SHOWN, "dry_run": FLAG}, optional=_OF_KINDS),
    "CredentialPage": page_of(ref("Credential")),
    "CredentialWanted": _closed(_WANTED),
    "CredentialNarrowed": _closed(_NARROWED, minProperties=1),
}
