"""The bytes that a message signature is made over, rebuilt from a request as it came.

Only of requests, and only of components without parameters: what signs here names whole header fields and
whole parts of the target. Source: RFC 9421, sections 2.1, 2.2, 2.3 and 2.5.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.auth.request import Shown
from gateway.auth.signature_fields import Described, refused

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_TOKEN: Final = re.compile(r"[a-z0-9!#$%&'*+\-.^_`|~]{1,128}")
_FIELD: Final = re.compile(r"[\t -~]*")
_CIRCULAR: Final = frozenset({"signature", "signature-input"})
_SECRETS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
"""What is signed is kept and shown as evidence: a secret among it would be too."""

_DIGEST_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Site:
    """Where we are as senders see us, whatever a proxy makes of it: scheme and authority of our origin."""

    scheme: str
    authority: str


@dataclass(frozen=True, slots=True)
class Base:
    """What was signed. `lines`: the name of each component, and the line that is its own."""

    lines: tuple[tuple[str, str], ...]

    def encoded(self) -> bytes:
        """The exact bytes."""
        return "\n".join(line for _, line in self.lines).encode("ascii")

    def digests(self) -> list[dict[str, str]]:
        """A digest of each line, so that a sender can find the one that it has otherwise.

        The first 16 hex digits of SHA-256: enough to compare, and no value. Of fields that no signature need
        cover there is none: a proxy may have added them, and whoever asks need not have sent them.
        """
        return [
            {"component": name, "line_sha256": hashlib.sha256(line.encode()).hexdigest()[:_DIGEST_DIGITS]}
            for name, line in self.lines
            if name.startswith(("@", "ce-", "content-")) or name == "idempotency-key"
        ]


def site_of(origin: str) -> Site:
    """The site of an origin, a URL: host in lower case, port only where it is not the scheme's own."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    is_usual = parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)}
    return Site(parts.scheme, host if is_usual else f"{host}:{parts.port}")


def build_base(shown: Shown, described: Described, site: Site) -> Base:
    """Rebuild what was signed.

    Raises:
        CallerError: `signature_invalid`; a component is not in the request, or none that can be signed here.
    """
    lines: list[tuple[str, str]] = []
    seen: set[str] = set()
    for component in described.components:
        name = component.name
        if not name or component.parameters:
            whole = "components are named in double quotes, whole and without parameters"
            raise refused(name[:128] or "signature-input", whole)
        if name in seen:
            raise refused(name, "it is covered twice")
        seen.add(name)
        lines.append((name, f'"{name}": {_value(name, shown, site)}'))
    lines.append(("@signature-params", f'"@signature-params": {described.text()}'))
    return Base(tuple(lines))


def _value(name: str, shown: Shown, site: Site) -> str:
    if name.startswith("@"):
        return _derived(name, shown, site)
    if not _TOKEN.fullmatch(name) or name in _CIRCULAR:
        raise refused(
            "signature-input", "a signature covers header fields by name, in lower case, but not itself"
        )
    if name in _SECRETS:
        raise refused(name, "what is signed is kept and shown as evidence, so no secret may be covered")
    values = [value.strip(" \t") for value in shown.values(name)]
    if not values:
        raise refused(name, "the signature covers it, and it is not in the request")
    whole = ", ".join(values)
    if not _FIELD.fullmatch(whole):
        raise refused(name, "a header field that is signed is ASCII, without control characters")
    return whole


def _derived(name: str, shown: Shown, site: Site) -> str:
    target = f"{shown.target}?{shown.query}" if shown.query else shown.target
    values = {
        "@method": shown.method,
        "@authority": site.authority,
        "@scheme": site.scheme,
        "@path": shown.target or "/",
        "@query": f"?{shown.query}",
        "@request-target": target,
        "@target-uri": f"{site.scheme}://{site.authority}{target}",
    }
    value = values.get(name)
    if value is None:
        raise refused(name[:128], "there is no such component of a request here")
    if not _FIELD.fullmatch(value):
        raise refused(name, "it is to be sent percent-encoded")
    return value
