"""What anybody may ask: keys, discovery, error pages; and what machines ask: alive, ready, metrics."""

import base64
from typing import Final

from starlette.responses import Response

from gateway.http.catalogue import CATALOGUE
from gateway.http.guard import Call, not_found
from gateway.http.shapes import TEXT, ref, text
from gateway.http.signing_keys import key_item
from gateway.http.told import PLAIN, Parameter, shows, tells
from gateway.http.words import json_response
from gateway.keys import KeyRing, Purpose

_HISTORY: Final = frozenset({"public_key", "state", "created_at", "signs_from", "ends_at", "compromised_at"})
_CACHED: Final = {"Cache-Control": "public, max-age=300"}


@tells(
    "showKeys",
    "Open",
    "The keys that receipts are checked with",
    shows(ref("Jwks"), "A JWK set (RFC 7517), retired keys too."),
)
async def show_jwks(call: Call) -> Response:
    """The keys that receipts are checked with, retired ones too."""
    return json_response(call.doors.keys().jwks(), headers=_CACHED)


@tells(
    "showDiscovery",
    "Open",
    "Where everything is",
    shows(ref("Discovery"), "Addresses, the keys of checkpoints and of their freshness."),
)
async def show_discovery(call: Call) -> Response:
    """Where everything is, for a client that knows the origin alone."""
    origin = call.doors.values.origin
    ring = call.doors.keys()
    body = {
        "issuer": origin,
        "version": call.doors.version,
        "api": f"{origin}/v1",
        "jwks_uri": f"{origin}/.well-known/jwks.json",
        "checkpoint_keys": [base64.b64encode(key.public_key).decode() for key in ring.ordered("checkpoint")],
        "checkpoint_key_history": _history(ring, "checkpoint"),
        "freshness_keys": call.doors.shown.keys(key.public_key for key in ring.ordered("freshness")),
        "freshness_key_history": _history(ring, "freshness"),
        "anchor_key_history": _history(ring, "anchor"),
        "merge_delay_seconds": call.doors.values.merge_delay_seconds,
        "receipt": {"typ": "gateway-receipt+json", "alg": "EdDSA"},
        "errors": f"{origin}/errors/{{code}}",
    }
    return json_response(body, headers=_CACHED)


def _history(ring: KeyRing, purpose: Purpose) -> list[dict[str, object]]:
    """All keys of a purpose, newest first: those that have ended, and those that leaked, marked as such."""
    return [
        {name: value for name, value in key_item(key, ring.at).items() if name in _HISTORY}
        for key in reversed(ring.known)
        if key.purpose == purpose
    ]


@tells(
    "showError",
    "Open",
    "What an error code means",
    shows(ref("ErrorMeaning"), "Its status, whether to repeat, and how to mend it."),
    parameters=(
        Parameter("code", "An error code.", text("[a-z_]{1,40}"), place="path", example="event_invalid"),
    ),
)
async def show_error(call: Call) -> Response:
    """What a code means, and how to mend it."""
    code = call.part("code")
    meaning = CATALOGUE.get(code)
    if meaning is None:
        raise not_found()
    body = {
        "code": code,
        "status": meaning.status,
        "title": meaning.title,
        "retry": meaning.retry,
        "mend": meaning.mend,
    }
    return json_response(body, headers=_CACHED)


@tells("showLive", "Machines", "Alive", shows(ref("Live"), "The program answers."))
async def show_live(_call: Call) -> Response:
    """The event loop turns: that this is answered says it all."""
    return json_response({"status": "live"})


@tells(
    "showReady",
    "Machines",
    "Ready for requests",
    shows(ref("Ready"), "Requests are served."),
    shows(ref("Ready"), "Something is missing: which, in words.", status=503, Retry_After="Seconds."),
)
async def show_ready(call: Call) -> Response:
    """Whether requests can be served, and what is missing if not."""
    missing = list(await call.doors.ready())
    if missing:
        return json_response({"status": "not ready", "missing": missing}, 503, {"Retry-After": "1"})
    return json_response({"status": "ready", "missing": []})


@tells(
    "showMetrics",
    "Machines",
    "Metrics",
    shows(TEXT, "Prometheus text.", media=PLAIN),
)
async def show_metrics(call: Call) -> Response:
    """Prometheus text."""
    await call.doors.measure()
    return Response(call.doors.metrics(), 200, None, "text/plain; version=0.0.4; charset=utf-8")
