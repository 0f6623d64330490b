"""What a credential may send, where that is less than its partner may: event types, and a rate of its own.

A list of types is None where the credential may send whatever the contract lets its partner send; a rate,
events a second, is None where nothing but the contract bounds it. Neither gives anything.
"""

from collections.abc import Iterable
from typing import Final

from partners.errors import CredentialTermsError
from partners.event_type import MAX_TYPES, RULE, is_reserved, is_type

MAX_NAMES: Final = 12_000
"""Characters of all names of a list together: it stands in one entry of the log."""

MAX_RATE: Final = 1_000_000
"""Events a second, as in a contract."""

_SHOWN: Final = 20


def is_within(types: frozenset[str] | None, most: frozenset[str] | None) -> bool:
    """Whether everything of the first is in the second."""
    return most is None or (types is not None and types <= most)


def shared_types(first: frozenset[str] | None, second: frozenset[str] | None) -> frozenset[str] | None:
    """What both may send."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def is_slower(rate: int | None, most: int | None) -> bool:
    """Whether the first is no more than the second."""
    return most is None or (rate is not None and rate <= most)


def shown_types(types: Iterable[str]) -> str:
    """A list in words, the first of it where it is long."""
    names = sorted(types)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more


def verify_allowance(types: frozenset[str] | None, rate: int | None) -> None:
    """Check what is asked for; whether a contract knows the types is not asked: it may come later.

    Raises:
        CredentialTermsError: there can be no such list, or no such rate.
    """
    if rate is not None and not 1 <= rate <= MAX_RATE:
        raise CredentialTermsError(f"the rate events_per_second is a whole number from 1 to {MAX_RATE}")
    if types is None:
        return
    if not types:
        text = "there is no type in send_types: name one, or leave the scope send out for what sends nothing"
        raise CredentialTermsError(text)
    if len(types) > MAX_TYPES:
        raise CredentialTermsError(
            f"there are {len(types)} types in send_types; at most {MAX_TYPES} are allowed"
        )
    for name in sorted(types):
        if not is_type(name):
            raise CredentialTermsError(f"in send_types '{name[:64]}' is no event type; {RULE}")
        if is_reserved(name):
            text = f"in send_types '{name}' is of the gateway's own, which it alone sends: leave it out"
            raise CredentialTermsError(text)
    length = sum(map(len, types))
    if length > MAX_NAMES:
        text = f"the names in send_types have {length} characters together; at most {MAX_NAMES} are allowed"
        raise CredentialTermsError(text)
