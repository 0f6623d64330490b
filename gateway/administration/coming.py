"""Contracts that are to be applied together with another, so that it may forward to them already.

They are looked at for that alone: each is judged, and brought into force, by a request of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from partners.contract_file import read_contract
from partners.errors import ContractFileError
from schemas.errors import SchemaError
from schemas.remembered import parse_alone
from schemas.schema import Schema


@dataclass(frozen=True, slots=True)
class Companion:
    """A contract as it was sent beside another. `files`: of those that it names at least the schemas needed.

    `is_first`: it is to be in force before the other is.
    """

    text: str = field(repr=False)
    file_name: str
    files: Mapping[str, str] = field(repr=False)
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Coming:
    """What a partner is to receive, by type; None: its schema cannot be read, or was not sent along.

    `replaces`: this counts, whatever is in force; else only where nothing is.
    """

    received: Mapping[str, Schema | None]
    replaces: bool


def read_coming(
    companions: Iterable[Companion], *, is_trial: bool, allow_insecure_loopback: bool
) -> Mapping[str, Coming]:
    """Companions by partner; one that cannot be read is as if it were not there: its own plan says why.

    `is_trial`: what is to be in force first is not yet.
    """
    found: dict[str, Coming] = {}
    for one in companions:
        try:
            file = read_contract(
                one.text, name=one.file_name, allow_insecure_loopback=allow_insecure_loopback
            )
        except ContractFileError:
            continue
        received = {
            terms.event_type: _schema(one.files.get(terms.schema_path))
            for terms in file.contract.terms
            if terms.direction == "outbound"
        }
        found[file.contract.partner] = Coming(received, is_trial and one.is_first)
    return found


def _schema(text: str | None) -> Schema | None:
    if text is None:
        return None
    try:
        return parse_alone(text)
    except SchemaError:
        return None
