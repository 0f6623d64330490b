"""Endpoints at hosts that a contract does not allow, since it allows fewer than when they were made. Pure.

Those that the contract itself declares were judged with its file.
"""

from collections.abc import Sequence
from dataclasses import replace

from partners.contract import EndpointRules
from partners.endpoint import Endpoint, parse_host_pattern, verify_url
from partners.errors import EndpointUrlError, StateConflictError
from partners.plan import Difference

_MOST_NAMES = 10


def outside(endpoints: Sequence[Endpoint], rules: EndpointRules) -> tuple[Endpoint, ...]:
    """Those of a partner's own endpoints whose URL the contract does not allow, by name."""
    found = (one for one in endpoints if not one.declared and not _is_allowed(one, rules))
    return tuple(sorted(found, key=lambda one: one.name))


def verify_inside(endpoint: Endpoint, rules: EndpointRules) -> None:
    """Let none go on that the contract does not allow.

    Raises:
        StateConflictError: it does not.
    """
    if outside([endpoint], rules):
        raise StateConflictError(
            f"it lies outside endpoints.hosts ({' '.join(rules.hosts)}): give it another URL, or have the "
            "contract name its host"
        )


def tell_outside(
    differences: Sequence[Difference],
    endpoints: Sequence[Endpoint],
    before: EndpointRules,
    after: EndpointRules,
) -> tuple[Difference, ...]:
    """The differences, that of the hosts with which endpoints are paused by it: it takes something away."""
    found = outside(endpoints, after) if before.hosts != after.hosts else ()
    if not found:
        return tuple(differences)
    words = f"{lying_outside(found)}, and {'is' if len(found) == 1 else 'are'} paused"
    return tuple(
        replace(one, words=f"{one.words}; {words}", is_destructive=True)
        if (one.section, one.name) == ("endpoints", "")
        else one
        for one in differences
    )


def lying_outside(found: Sequence[Endpoint]) -> str:
    """How many they are and which, in words."""
    names = ", ".join(one.name for one in found[:_MOST_NAMES]) + (", ..." if len(found) > _MOST_NAMES else "")
    return f"{len(found)} {'endpoint lies' if len(found) == 1 else 'endpoints lie'} outside ({names})"


def _is_allowed(endpoint: Endpoint, rules: EndpointRules) -> bool:
    if not rules.hosts:
        return True
    try:
        # One at a loopback address is there only where this gateway allows that.
        verify_url(
            endpoint.url, [parse_host_pattern(one) for one in rules.hosts], allow_insecure_loopback=True
        )
    except EndpointUrlError:
        return False
    return True
