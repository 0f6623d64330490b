"""How a caller proves itself, as the document's security schemes. Source: OpenAPI 3.1.1, Security Scheme."""

from collections.abc import Mapping
from typing import Any, Final

SCHEMES: Final[Mapping[str, Mapping[str, Any]]] = {
    "bearerKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer gw_...`.",
    },
    "basicKey": {
        "type": "http",
        "scheme": "basic",
        "description": "An API key as user name, with an empty password.",
    },
    "clientCertificate": {
        "type": "mutualTLS",
        "description": "A client certificate that is registered, or named by the contract.",
    },
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An OAuth2 access token of the issuer that the contract names.",
    },
    "messageSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": "A message signature (RFC 9421) by a registered key; `Signature-Input` beside it.",
    },
    "webhookSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks, on events: with `webhook-id` and `webhook-timestamp`.",
    },
}

_ANYWHERE: Final = ("bearerKey", "basicKey", "clientCertificate", "accessToken", "messageSignature")


def requirements(*, takes_webhooks: bool) -> list[dict[str, list[str]]]:
    """Any one of these is enough; where several are shown they must name one caller."""
    names = (*_ANYWHERE, "webhookSignature") if takes_webhooks else _ANYWHERE
    return [{name: []} for name in names]
