"""Which proxies are believed, and what a request looks like once what they say of the client is taken.

A header is worth as much as the peer of the connection that brought it. From anybody but a configured proxy
it is passed over and counted, not refused: a client, or a proxy of its own, may send what it likes, and
nothing that is passed over now is believed later. The certificate of a believed proxy itself, where it has
one for the way to us, is the proxy's: it is never taken for the client's.

Source: RFC 9440, section 4; RFC 7239, section 8, for the same of addresses.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.address import Network, unwrap
from gateway.auth.proxy_certificate import CARRIERS, Notation, read_passed
from gateway.auth.request import Shown

FORWARDED_FOR: Final = "x-forwarded-for"
MAX_ENTRIES: Final = 32
"""Of `X-Forwarded-For`, from the right: nobody stands behind more proxies."""

_KNOWN: Final = 4_096


def _nothing() -> None:
    """Count nothing."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """Believes proxies in `trusted`, whose certificates of clients come in `notation`.

    `ignored`: told of each request whose certificate header was passed over.
    """

    trusted: tuple[Network, ...] = ()
    notation: Notation = "off"
    ignored: Callable[[], None] = _nothing
    _known: dict[str, bool] = field(default_factory=dict, repr=False)

    def seen(self, shown: Shown) -> Shown:
        """The request as the client has sent it, given that `shown.peer` has brought it to us.

        Raises:
            CallerError: `credential_invalid`: a believed proxy's header cannot be read.
        """
        if not self.trusted:
            return shown
        if not self._is_trusted(shown.peer):
            carriers = CARRIERS[self.notation]
            if carriers and any(name.replace("_", "-") in carriers for name, _ in shown.headers):
                self.ignored()
            return shown
        passed = read_passed(self.notation, shown)
        return replace(
            shown,
            peer=self._client(shown),
            certificate=None if passed is None else passed.certificate,
            chain=() if passed is None else passed.chain,
        )

    def address(self, shown: Shown) -> str:
        """The client's address alone, of a request of which nothing else is asked."""
        return self._client(shown) if self.trusted and self._is_trusted(shown.peer) else shown.peer

    def _client(self, shown: Shown) -> str:
        """The rightmost address that is no believed proxy's: what stands left of it anybody may have written.

        What is no address ends the search: the last proxy that is known is then the nearest we can tell.
        """
        peer = shown.peer
        entries = ",".join(shown.values(FORWARDED_FOR)).split(",")
        for entry in reversed(entries[-MAX_ENTRIES:]):
            address = _address(entry.strip(" \t"))
            if not address:
                break
            peer = address
            if not self._is_trusted(address):
                break
        return peer

    def _is_trusted(self, peer: str) -> bool:
        known = self._known.get(peer)
        if known is None:
            address = _address(peer)
            known = bool(address) and any(ipaddress.ip_address(address) in one for one in self.trusted)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[peer] = known
        return known


def _address(text: str) -> str:
    """The address in an entry, without a port; empty where there is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(unwrap(ipaddress.ip_address(text)))
    except ValueError:
        return ""
