"""A credential as it is shown: an allow-list, with what identifies it and nothing that opens anything."""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.auth.public_key import load_key
from gateway.instants import format_instant
from partners.credential import FOR_EVER, SEALED, Credential


def credential_item(credential: Credential, now: int, used_at: int | None) -> dict[str, object]:
    """One credential. `used_at`: when it was used last, None: never; told to the second."""
    state = "active" if credential.is_active(now) else "expired"
    revoked_at = credential.revoked_at
    item: dict[str, object] = {
        "id": credential.id,
        "partner": credential.partner,
        "kind": credential.kind,
        "role": credential.role,
        "name": credential.name,
        "scopes": sorted(credential.scopes),
        "send_types": None if credential.send_types is None else sorted(credential.send_types),
        "events_per_second": credential.events_per_second,
        "state": state if revoked_at is None else "revoked",
        "created_at": format_instant(credential.created_at),
        "expires_at": None if credential.not_after >= FOR_EVER else format_instant(credential.not_after),
        "last_used_at": None if used_at is None else format_instant(used_at // 1_000 * 1_000),
        "revoked_at": None if revoked_at is None else format_instant(revoked_at),
    }
    if revoked_at is not None:
        item["reason"] = credential.revoked_for or None
    return item | _shown_as(credential)


def _shown_as(credential: Credential) -> dict[str, object]:
    """By what requests show it, where that is for others to know."""
    if credential.method == "mtls":
        return _certificate(credential)
    if credential.method == "message_signature":
        return {
            "key_id": credential.match,
            "algorithm": load_key(credential.secret).algorithm,
            "sha256": hashlib.sha256(credential.secret).hexdigest(),
        }
    if credential.method == "jwt":
        issuer, subject = credential.match.split("\n")[:2]
        return {"issuer": issuer, "subject": subject}
    if credential.method == "hmac":
        return {"signature": "v1" if credential.secret.startswith(SEALED) else "v1a"}
    return {}


def _certificate(credential: Credential) -> dict[str, object]:
    shown = credential.match.split("\n")[0]
    if shown.startswith("uri:"):
        authorities = x509.load_pem_x509_certificates(credential.secret)
        digests = [one.fingerprint(SHA256()).hex() for one in authorities]
        return {"uri": shown.removeprefix("uri:"), "ca_sha256": digests}
    return {"sha256": shown.removeprefix("sha256:")}
