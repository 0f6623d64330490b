"""What a partner is, and what is a legal slug.

A slug stands in topic names, so it is checked before it is used anywhere; it never stands in the name of a
log.
"""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from partners.errors import SlugError

PartnerState = Literal["provisioning", "active", "suspended", "closed"]

RESERVED_SLUGS: Final = frozenset({"house"})
"""Names of parties that are no partners."""

SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def verify_slug(text: str) -> str:
    """Return the slug, if it is a legal one.

    Raises:
        SlugError: it is not; says which rule it breaks.
    """
    if SLUG.fullmatch(text) is None:
        raise SlugError(
            "a partner's slug is 1 to 63 characters of a-z, 0-9 and '-', "
            "beginning and ending in a letter or a digit"
        )
    if text in RESERVED_SLUGS:
        raise SlugError(f"'{text}' is the name of our own side: choose another slug")
    return text


@dataclass(frozen=True, slots=True)
class Topics:
    """Where a partner's events lie: topic name and partition of either direction."""

    inbound: str
    inbound_partition: int
    outbound: str
    outbound_partition: int


@dataclass(frozen=True, slots=True)
class Partner:
    """A company that we exchange events with.

    `slug` is for ever, and is not used again after the partner is closed. `log` is the random public name of
    its audit log. `provisioning`: its topics are not known to exist yet.
    """

    slug: str
    log: str
    name: str
    topics: Topics
    state: PartnerState

    def __post_init__(self) -> None:
        """Refuse an illegal slug, whichever way it came."""
        verify_slug(self.slug)


def dedicated_topics(prefix: str, slug: str) -> Topics:
    """Name the two topics of a partner that shares none: `partners.acme.inbound`, `partners.acme.outbound`.

    Raises:
        SlugError: the slug is not a legal one.
    """
    verify_slug(slug)
    return Topics(f"{prefix}{slug}.inbound", 0, f"{prefix}{slug}.outbound", 0)


def new_id(prefix: str, entropy: Callable[[int], bytes]) -> str:
    """Make a random id: the prefix, and 80 bits as 16 characters of a-z and 2-7."""
    return prefix + base64.b32encode(entropy(10)).decode("ascii").lower()
