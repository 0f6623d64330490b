"""Names of topics.

A name goes into Kafka, into file names of brokers and into subjects of schemas, so that nothing reaches it
unchecked. A partner's topics are named once, when the partner is made; afterwards the names in the partner's
row are the truth, and no name is ever parsed back into a slug.

Source: Apache Kafka, org.apache.kafka.common.internals.Topic (legal characters, 249 at most).
"""

import re
from typing import Literal

LONGEST = 249
"""Characters in a topic name at most: Kafka makes a folder of it, with a suffix."""

_LEGAL = re.compile(r"[A-Za-z0-9._-]+\Z")


def verify_topic_name(name: str) -> str:
    """Return `name`, if Kafka and the embedded broker both take it.

    Raises:
        ValueError: says what is wrong with the name.
    """
    if not name or name in {".", ".."}:
        raise ValueError(f"{name!r} cannot name a topic: give at least one letter or digit")
    if len(name) > LONGEST:
        raise ValueError(f"a topic name has {len(name)} characters, {LONGEST} are allowed: shorten it")
    if not _LEGAL.match(name):
        raise ValueError(f"the topic name {name[:80]!r} may hold only letters, digits, '.', '_' and '-'")
    return name


def partner_topic(prefix: str, slug: str, direction: Literal["inbound", "outbound"]) -> str:
    """Name a partner's own topic: `partners.acme.inbound` for the prefix `partners.` and the slug `acme`.

    Raises:
        ValueError: as `verify_topic_name`.
    """
    return verify_topic_name(f"{prefix}{slug}.{direction}")
