"""A request that was answered 4xx or 5xx, as our own log and metrics have it.

Nothing in it is the sender's text: a route of the table, a method of it, our code, an address, and whose the
credential is where it was proved. So nobody writes into the log, or makes series, by what he sends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from gateway.auth.caller import Caller
from gateway.auth.proxy import FORWARDED_FOR, Proxies
from gateway.auth.request import Shown
from gateway.errors import CallerError
from gateway.metrics import OTHER, ROUTE_GROUPS

PEER: Final = "gateway.peer"
"""In a request's scope: the client's address, as believed proxies have it."""
CALLER: Final = "gateway.caller"
"""In a request's scope: the caller, once it is proved who asks."""

NO_CODE: Final = "none"
"""Of answers that are no problem."""
NO_ROUTE: Final = "none"
"""Of requests for no path of ours, and of what is no HTTP."""

_OPEN: Final = frozenset({".well-known", "docs", "errors", "livez", "readyz", "metrics"})
_GROUPS: Final[Mapping[str, str]] = {
    "contract": "contract",
    "house-deliveries": "deliveries",
    "house-endpoints": "endpoints",
    "house-replays": "deliveries",
    "me": "contract",
    "openapi.json": "contract",
    "replays": "deliveries",
    "schemas": "contract",
    "types": "contract",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """One such request. `credential`, `partner`: empty where nobody has proved who asks, or it is our side.

    `route`: the path as the route table has it. `address`: of the client; empty where it is not known.
    """

    request_id: str
    route: str
    method: str
    status: int
    code: str
    address: str
    credential: str = ""
    partner: str = ""


Reject = Callable[[Rejection], None]


@lru_cache(512)
def group_of(route: str) -> str:
    """The group that a route of the table is counted in; one of `ROUTE_GROUPS`."""
    if route == NO_ROUTE:
        return route
    first, *rest = route.strip("/").split("/")
    if first in _OPEN:
        return "open"
    if first == "v1" and rest:
        first, *rest = rest
    if first == "partners" and len(rest) > 1:
        first = rest[1]
    if first == "house":
        first = rest[0] if rest else first
    found = _GROUPS.get(first, first)
    return found if found in ROUTE_GROUPS - {OTHER} else "operator"


def whose(scope: Mapping[str, Any], error: Exception | None) -> tuple[str, str]:
    """Credential's id and partner's slug of who was refused; both empty where nobody is proved."""
    if isinstance(error, CallerError) and error.whose is not None:
        return error.whose
    caller = scope.get(CALLER)
    return caller.credential.whose if isinstance(caller, Caller) else ("", "")


def address_of(scope: Mapping[str, Any], proxies: Proxies) -> str:
    """The client's address, as believed proxies have it; empty where it is not known."""
    if PEER in scope:
        return str(scope[PEER])
    client = scope.get("client")
    wanted = FORWARDED_FOR.encode()
    headers = tuple(
        (FORWARDED_FOR, value.decode("latin-1")) for name, value in scope["headers"] if name == wanted
    )
    return proxies.address(Shown(headers, peer="" if client is None else str(client[0])))
