"""The named schemas of what is open to everybody."""

from collections.abc import Mapping
from typing import Final, get_args

from gateway.http.catalogue import Retry
from gateway.http.shapes import TEXT, Shape, listed, record, ref, whole, word

_JWKS: Final = listed({"type": "object", "additionalProperties": True})

COMPONENTS: Final[Mapping[str, Shape]] = {
    "Jwks": record({"keys": _JWKS}, optional={"revoked_keys": _JWKS}),
    "Discovery": record(
        {
            "issuer": TEXT,
            "version": TEXT,
            "api": TEXT,
            "jwks_uri": TEXT,
            "checkpoint_keys": listed(TEXT),
            "checkpoint_key_history": listed(ref("KeyHistory")),
            "freshness_key_history": listed(ref("KeyHistory")),
            "anchor_key_history": listed(ref("KeyHistory")),
            "freshness_keys": listed(TEXT),
            "merge_delay_seconds": whole(1),
            "receipt": record({"typ": TEXT, "alg": TEXT}),
            "errors": TEXT,
        }
    ),
    "ErrorMeaning": record(
        {
            "code": TEXT,
            "status": whole(400, 599),
            "title": TEXT,
            "retry": word(*get_args(Retry)),
            "mend": TEXT,
        }
    ),
    "Live": record({"status": TEXT}),
    "Ready": record({"status": TEXT, "missing": listed(TEXT)}),
}
