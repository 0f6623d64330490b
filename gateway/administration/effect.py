"""What a contract says that this version keeps and does not act on: told with every plan.

A partner must not believe in a promise that nobody keeps.
"""

from collections.abc import Iterator

from partners.contract import SECTIONS, Contract, Keep


def without_effect(contract: Contract) -> tuple[str, ...]:
    """One line for each thing in a contract that has no effect yet, or that leaves something without use."""
    return tuple(f"? {line}" for line in (*_authentication(contract), *_limits(contract), *_lines(contract)))


def _authentication(contract: Contract) -> Iterator[str]:
    terms = contract.authentication
    if terms.require_signature:
        yield "authentication.require_signature is kept, not enforced: origin is not proved"
    others = [method for method in terms.accept if method != "api_key"]
    if others:
        yield f"authentication.accept: {', '.join(others)} kept; only api_key is taken"


def _limits(contract: Contract) -> Iterator[str]:
    limits = contract.limits
    named = {
        "events_per_second": limits.events_per_second,
        "bytes_per_day": limits.bytes_per_day,
        "streams": limits.streams,
    }
    kept = [name for name, value in named.items() if value is not None]
    if kept:
        yield f"limits: {', '.join(kept)} kept, not enforced"


def _lines(contract: Contract) -> Iterator[str]:
    if contract.keep != Keep(contract.keep.content_days):
        yield "keep.evidence is kept; evidence stays until it can be erased with an entry of its own"
    for terms in contract.terms:
        where = f"{SECTIONS[terms.direction]} {terms.event_type}"
        if terms.forward is not None:
            yield f"{where}: forward is kept; nothing is forwarded"
        if terms.search:
            yield f"{where}: search is kept; history finds by id, not by these"
    if contract.endpoints.verification == "required":
        for endpoint in contract.endpoints.declared:
            yield (
                f"endpoint {endpoint.name} stays unverified and gets nothing: "
                "set endpoints.verification to none"
            )
