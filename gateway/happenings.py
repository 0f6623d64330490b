"""What the gateway itself has to tell a partner: one function for each type of event, and how often.

Each gives an announcement with an id that names what it tells, so that it is one event however often and by
however many processes it is told. Of what can happen a thousand times a minute only a sample is told. Nothing
is told of the house's own endpoints: the partner would read it.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.announcements import Announcement
from partners.credential import Credential
from partners.endpoint import Endpoint

ENDPOINT_FAILING: Final = "gateway.endpoint.failing"
ENDPOINT_RECOVERED: Final = "gateway.endpoint.recovered"
ENDPOINT_DISABLED: Final = "gateway.endpoint.disabled"
ENDPOINT_REKEYED: Final = "gateway.endpoint.secret_rotated"
DELIVERY_PARKED: Final = "gateway.delivery.parked"
EVENT_REFUSED: Final = "gateway.event.refused"
RECORD_UNREADABLE: Final = "gateway.record.unreadable"
CREDENTIAL_EXPIRING: Final = "gateway.credential.expiring"
CREDENTIAL_REVOKED: Final = "gateway.credential.revoked"
QUOTA_NEAR: Final = "gateway.quota.near"
LOG_CHECKPOINT_LATE: Final = "gateway.log.checkpoint_late"

HOUR_MS: Final = 3_600_000
_MOST_FAULTS: Final = 20


class Sample:
    """Lets the first few of each key through in an hour of the clock."""

    def __init__(self, most: int) -> None:
        """`most`: how many of each."""
        self._most = most
        self._hour = 0
        self._seen: Counter[tuple[str, ...]] = Counter()

    def takes(self, key: tuple[str, ...], now: int) -> bool:
        """Whether one more is told."""
        if now // HOUR_MS != self._hour:
            self._hour, self._seen = now // HOUR_MS, Counter()
        self._seen[key] += 1
        return self._seen[key] <= self._most


def endpoint_failing(endpoint: Endpoint, *, reason: str, since: int, now: int) -> Announcement:
    """The endpoint's breaker opened, or too much waits for a retry.

    `since`: its first failure after the last 2xx, or when it was too much.
    """
    members = {**_endpoint(endpoint), "reason": reason, "failing_since": since}
    return _announce(endpoint.partner, ENDPOINT_FAILING, f"{endpoint.id}/{since}", members, now)


def endpoint_recovered(endpoint: Endpoint, *, since: int, now: int) -> Announcement:
    """A 2xx came from an endpoint whose breaker was open, or half of what was too much is gone."""
    members = {**_endpoint(endpoint), "failing_since": since, "recovered_at": now}
    return _announce(endpoint.partner, ENDPOINT_RECOVERED, f"{endpoint.id}/{since}", members, now)


def endpoint_disabled(endpoint: Endpoint, *, reason: str, now: int) -> Announcement:
    """The gateway itself stopped sending to the endpoint."""
    members = {**_endpoint(endpoint), "reason": reason, "disabled_at": now}
    return _announce(endpoint.partner, ENDPOINT_DISABLED, f"{endpoint.id}/{now}", members, now)


def endpoint_secret_rotated(endpoint: Endpoint, *, secret: str, action: str, now: int) -> Announcement:
    """A signing secret was added or removed. `secret`: its id."""
    members = {**_endpoint(endpoint), "secret": secret, "action": action, "changed_at": now}
    named = f"{endpoint.id}/{secret}/{action}"
    return _announce(endpoint.partner, ENDPOINT_REKEYED, named, members, now)


def delivery_parked(
    endpoint: Endpoint, event: Mapping[str, str], *, attempts: int, reason: str, now: int
) -> Announcement:
    """Nothing more is tried. `event`: ref (in its text form), source, id and type."""
    members = {**_endpoint(endpoint), **event, "attempts": attempts, "reason": reason, "parked_at": now}
    named = f"{endpoint.id}/{event['ref']}/{attempts}"
    return _announce(endpoint.partner, DELIVERY_PARKED, named, members, now)


def event_refused(
    partner: str,
    event: Mapping[str, str | None],
    *,
    code: str,
    faults: Sequence[tuple[str, str]],
    faults_total: int,
    now: int,
) -> Announcement:
    """An event was refused. `event`: direction, ref, source, id and type, the last four if they are known."""
    members = {
        "partner": partner,
        **{name: event.get(name) for name in ("direction", "ref", "source", "id", "type")},
        "code": code,
        "faults": [{"pointer": pointer, "code": each} for pointer, each in faults[:_MOST_FAULTS]],
        "faults_total": faults_total,
        "refused_at": now,
    }
    return _announce(partner, EVENT_REFUSED, f"{event['direction']}/{code}/{now // HOUR_MS}", members, now)


def record_unreadable(
    partner: str, *, topic: str, partition: int, offset: int, code: str, now: int
) -> Announcement:
    """A record of the partner's topic is no event."""
    members = {
        "partner": partner,
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "code": code,
        "found_at": now,
    }
    return _announce(partner, RECORD_UNREADABLE, f"{code}/{now // HOUR_MS}", members, now)


def credential_expiring(partner: str, credential: Credential, *, days: int, now: int) -> Announcement:
    """The credential ends within so many days."""
    members = {**_credential(partner, credential), "expires_at": credential.not_after, "days": days}
    named = f"{credential.id}/{credential.not_after}/{days}"
    return _announce(partner, CREDENTIAL_EXPIRING, named, members, now)


def credential_revoked(partner: str, credential: Credential, *, now: int) -> Announcement:
    """The credential opens nothing any more."""
    members = {
        **_credential(partner, credential),
        "reason": credential.revoked_for or None,
        "revoked_at": now,
    }
    return _announce(partner, CREDENTIAL_REVOKED, credential.id, members, now)


def quota_near(partner: str, *, limit: str, most: int, used: int, resets_at: int, now: int) -> Announcement:
    """Most of a limit is used; told once until it begins anew."""
    members = {"partner": partner, "limit": limit, "most": most, "used": used, "resets_at": resets_at}
    return _announce(partner, QUOTA_NEAR, f"{limit}/{resets_at}", members, now)


def log_checkpoint_late(
    partner: str, *, origin: str, size: int, published: int, since: int, now: int
) -> Announcement:
    """Entries are without a checkpoint for too long; told once of each checkpoint that was the last."""
    members = {
        "partner": partner,
        "log": origin,
        "size": size,
        "published": published,
        "late_since": since,
    }
    return _announce(partner, LOG_CHECKPOINT_LATE, f"{origin}/{published}", members, now)


def _endpoint(endpoint: Endpoint) -> dict[str, object]:
    return {"partner": endpoint.partner, "endpoint": endpoint.id, "name": endpoint.name}


def _credential(partner: str, credential: Credential) -> dict[str, object]:
    return {
        "partner": partner,
        "credential": credential.id,
        "name": credential.name,
        "method": credential.method,
        "role": credential.role,
    }


def _announce(
    partner: str, event_type: str, named: str, members: Mapping[str, object], now: int
) -> Announcement:
    text = json.dumps(members, separators=(",", ":"))
    return Announcement(partner, f"{event_type}/{named}", event_type, text, now)
