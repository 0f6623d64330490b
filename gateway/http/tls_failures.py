"""Why a handshake came to nothing, in words that alarms can be made of."""

import ssl
from typing import Final

_BY_WORD: Final = (
    ("ALERT", "client_alert"),  # first: it names what the client found, in the words of the others
    ("CERTIFICATE", "certificate"),
    ("CIPHER", "cipher"),
    ("SUITABLE", "cipher"),
    ("HTTP", "not_tls"),
    ("WRONG_VERSION_NUMBER", "not_tls"),
    ("BAD_PACKET", "not_tls"),
    ("RECORD", "not_tls"),
    ("PROTOCOL", "version"),
    ("VERSION", "version"),
)
TIMEOUT: Final = "timeout"
ENDED: Final = "ended"
OTHER: Final = "other"
REASONS: Final = frozenset({TIMEOUT, ENDED, OTHER, *(reason for _, reason in _BY_WORD)})
"""All that there are. `client_alert`: the client refused us; `ended`: it went away, as scanners do."""


def reason_of(error: ssl.SSLError) -> str:
    """The reason, one of REASONS, of what OpenSSL says."""
    said = error.reason or ""
    return next((reason for word, reason in _BY_WORD if word in said), OTHER)


def detail_of(error: ssl.SSLError) -> str:
    """What OpenSSL finds wrong with a client's certificate, in a fixed text of its own; else its own name."""
    return str(getattr(error, "verify_message", "") or (error.reason or "").lower())
