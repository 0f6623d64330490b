"""What entries of a bundle say that most events have none of, in words.

Source: docs/formats.md, section 3.
"""

from collections.abc import Mapping
from typing import Final

SAID: Final[Mapping[str, str]] = {
    "event.refused": "refused {type} {id!r} from {source!r} ({code})",
    "event.unrouted": "found nobody to send {type} {id!r} to",
    "event.forwarded": "passed {type} {id!r} on to {to} as {as}, or could not ({code})",
    "delivery.cancelled": "gave up the delivery to {endpoint}, as the {by[role]} asked",
    "delivery.retried": "tried the delivery to {endpoint} anew, as the {by[role]} asked",
    "evidence.erased": "erased the evidence of an entry whose leaf hash is {leaf_sha256} ({basis})",
    "evidence.expired": "let the evidence of {entries} entries go, whose time was over",
    "content.read": "let the {by[role]} read the content",
}
"""By kind; `audit.bundled` has the others."""
