"""Settings that this version knows and does not act on: set, they refuse to start.

A setting that is accepted and does nothing is worse than none, above all where somebody relies on it.
"""

from typing import Final

from gateway.errors import SettingsError
from gateway.settings import Settings
from partners.endpoint import DEFAULT_CONCURRENCY, STANDARD_75H

_LATER: Final = "is not offered by this version: take it out"
_SEVEN_YEARS_MS: Final = 7 * 365 * 86_400_000


def verify_offered(settings: Settings) -> None:
    """Refuse settings that would have no effect.

    Raises:
        SettingsError: names each of them.
    """
    asked = {
        "egress.retry": settings.egress.retry != STANDARD_75H,
        "egress.concurrency": settings.egress.concurrency != DEFAULT_CONCURRENCY,
        "egress.rate": settings.egress.rate is not None,
        "retention.evidence": settings.retention.evidence != _SEVEN_YEARS_MS,
    }
    faults = tuple(f"{name} {_LATER}" for name, is_set in asked.items() if is_set)
    if faults:
        raise SettingsError(faults)
