"""May this caller come from where it comes from? Asked once it is proved who it is, of its own contract.

The address is the connection's, or what a proxy that is believed says of it, see `gateway.auth.proxy`: what
anybody else writes into a header counts for nothing.
"""

import ipaddress
from functools import lru_cache
from typing import Final

from gateway.address import Network, unwrap
from gateway.errors import CallerError

_KNOWN: Final = 4_096


def verify_source(peer: str, agreed: tuple[str, ...]) -> None:
    """Refuse a caller from elsewhere. `agreed`: networks as the contract has them; none: from anywhere.

    An IPv4-mapped IPv6 address is the IPv4 address in it, and a zone id is passed over. A caller whose
    address is not known, by a Unix socket for example, is from nowhere that was agreed.

    Raises:
        CallerError: `source_address_denied`; names the address, which is the caller's own.
    """
    if not agreed:
        return
    try:
        address = unwrap(ipaddress.ip_address(peer))
    except ValueError as error:
        raise _refusal("whose address is not known") from error
    if not any(address in network for network in _networks(agreed)):
        raise _refusal(f"from {address}")


@lru_cache(_KNOWN)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def _refusal(whence: str) -> CallerError:
    return CallerError(
        "source_address_denied",
        f"The contract names the addresses that its callers come from; this one is {whence}.",
        hint="Call from one of them, or ask the operator to add yours: authentication.addresses.",
    )
