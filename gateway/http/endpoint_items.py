"""Endpoints as they are shown: allow-lists, with nothing that signs."""

from collections.abc import Callable

from gateway.egress.health import HOURS, Health
from gateway.egress.probing import Probe
from gateway.instants import format_instant
from partners.access import EndpointAccess, access_place, decode_access, shown_access
from partners.endpoint import SCHEDULES, Endpoint, SecretTerms
from partners.endpoint_form import written_terms


def endpoint_item(endpoint: Endpoint, unseal: Callable[[bytes, str], bytes]) -> dict[str, object]:
    """One endpoint: what is asked of it, what it demands without what is secret in it, and its state."""
    said = written_terms(endpoint)
    named = next((name for name, delays in SCHEDULES.items() if delays == endpoint.delays), None)
    return {
        "id": endpoint.id,
        "partner": endpoint.partner,
        **said,
        "retry": named or said["retry"],
        "auth": _auth(endpoint, unseal),
        "state": endpoint.state,
        "declared": endpoint.declared,
    }


def listed_item(
    endpoint: Endpoint, unseal: Callable[[bytes, str], bytes], failing_since: int | None
) -> dict[str, object]:
    """One endpoint in a list: also since when no attempt has succeeded, None: it answers."""
    return {**endpoint_item(endpoint, unseal), "failing_since": _instant(failing_since)}


def health_item(health: Health) -> dict[str, object]:
    """How it was in the last day, and what waits for it."""
    return {
        "hours": HOURS,
        "attempts": dict(health.outcomes),
        "p95_ms": health.p95_ms,
        "breaker": health.breaker,
        "failing_since": _instant(health.failing_since),
        "waiting": health.waiting,
        "lag": health.lag,
        "oldest_undelivered_at": _instant(health.oldest_at),
    }


def secret_item(terms: SecretTerms, now: int) -> dict[str, object]:
    """One signing secret, without its value."""
    is_over = terms.until is not None and terms.until <= now
    return {
        "id": terms.id,
        "state": "ended" if is_over else "active" if terms.until is None else "ending",
        "created_at": format_instant(terms.created_at),
        "until": _instant(terms.until),
    }


def probe_item(probe: Probe) -> dict[str, object]:
    """One try: what was sent, and the first bytes of what came back.

    Not of what came back for a challenge: many servers show what they were sent to whoever asks, and whoever
    reads the challenge here has proved nothing.
    """
    answer = probe.answer
    shown = b"" if probe.purpose == "verification" else answer.excerpt
    return {
        "purpose": probe.purpose,
        "type": probe.event_type,
        "webhook_id": probe.webhook_id,
        "content_length": probe.content_length,
        "status": answer.status or None,
        "failure": answer.failure,
        "ms": answer.ms,
        "answer": shown.decode("utf-8", "replace"),
    }


def _auth(endpoint: Endpoint, unseal: Callable[[bytes, str], bytes]) -> dict[str, object]:
    if endpoint.access is None:
        return shown_access(EndpointAccess())
    return shown_access(decode_access(unseal(endpoint.access, access_place(endpoint.id))))


def _instant(at: int | None) -> str | None:
    return None if at is None else format_instant(at)
