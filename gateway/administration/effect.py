"""What a contract says that has no effect, or leaves something without use: told with every plan.

A partner must not believe in a promise that nobody keeps.
"""

from collections.abc import Iterator, Sequence

from gateway.broker.port import RECORD_BYTES
from partners.contract import Contract, ContractFile
from partners.credential import Method
from partners.endpoint import Endpoint
from partners.outside import lying_outside, outside


def without_effect(file: ContractFile, there: Sequence[Endpoint] | None = None) -> tuple[str, ...]:
    """One line for each thing in a contract that has no effect, or that leaves something without use.

    `there`: the partner's endpoints as they are under the contract; None: nobody knows, as if all were new.
    """
    contract = file.contract
    lines = (*_authentication(contract), *_limits(contract), *_lines(contract, there))
    return tuple(f"? {line}" for line in (*lines, *_standing(contract, there or ())))


def is_about_endpoints(contract: Contract) -> bool:
    """Whether what is told of a contract depends on the endpoints that there are."""
    rules = contract.endpoints
    is_proving = rules.verification == "required" and rules.declared
    return bool(is_proving or rules.hosts or contract.limits.endpoints is not None)


def _authentication(contract: Contract) -> Iterator[str]:
    terms = contract.authentication
    named: tuple[tuple[Method, str, bool], ...] = (
        ("mtls", "certificates", bool(terms.certificates or terms.authorities)),
        ("jwt", "oauth", terms.oauth is not None),
    )
    for method, what, is_named in named:
        if is_named and method not in terms.accept:
            yield f"authentication.{what}: of no use, since authentication.accept does not name {method}"


def _limits(contract: Contract) -> Iterator[str]:
    size = contract.limits.event_bytes or 0
    if size > RECORD_BYTES:
        yield (
            f"limits.event_bytes {size}: a record holds {RECORD_BYTES} bytes at most, encoded, with its "
            "headers; an event that takes more gets 413 event_too_large all the same"
        )


def _lines(contract: Contract, there: Sequence[Endpoint] | None) -> Iterator[str]:
    if contract.endpoints.verification != "required":
        return
    unverified = None if there is None else {one.name for one in there if one.state == "unverified"}
    for endpoint in contract.endpoints.declared:
        if unverified is None or endpoint.name in unverified:
            yield (
                f"endpoint {endpoint.name} gets nothing until its owner is proved: gateway endpoints verify"
            )


def _standing(contract: Contract, there: Sequence[Endpoint]) -> Iterator[str]:
    """What endpoints that are there already are not made to fit."""
    found = [one for one in outside(there, contract.endpoints) if one.state == "active"]
    if found:
        yield f"endpoints.hosts: {lying_outside(found)}, and get events all the same: gateway endpoints pause"
    most = contract.limits.endpoints
    if most is not None and len(there) > most:
        yield f"limits.endpoints {most}: there are {len(there)}; all of them stay, and no more can be made"
