"""What a contract says that has no effect, or leaves something without use: told with every plan.

A partner must not believe in a promise that nobody keeps.
"""

from collections.abc import Iterator

from gateway.broker.port import RECORD_BYTES
from partners.contract import Contract, ContractFile
from partners.credential import Method


def without_effect(file: ContractFile) -> tuple[str, ...]:
    """One line for each thing in a contract that has no effect, or that leaves something without use."""
    contract = file.contract
    return tuple(f"? {line}" for line in (*_authentication(contract), *_limits(contract), *_lines(contract)))


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


def _lines(contract: Contract) -> Iterator[str]:
    if contract.endpoints.verification == "required":
        for endpoint in contract.endpoints.declared:
            yield (
                f"endpoint {endpoint.name} gets nothing until its owner is proved: gateway endpoints verify"
            )
