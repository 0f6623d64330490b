"""A contract as its row holds it, there and back."""

import re
from dataclasses import replace
from typing import Final

from pydantic import TypeAdapter

from partners.contract import Contract
from partners.rows import ContractRow

_CONTRACT: Final = TypeAdapter(Contract)

_FORMER_SECONDS: Final = 30 * 86_400
"""`hold_seconds` as former programs wrote it where the file said nothing; they can read only a number."""

_COMMENT: Final = re.compile(r"(?:^|(?<=\s))#.*", re.MULTILINE)
_HOLD: Final = re.compile(r"""(?:^|[{,])\s*["']?hold["']?\s*:""", re.MULTILINE)


def value_of(contract: Contract) -> str:
    """What is written of a contract. A hold that it does not name is left out, as former programs read it."""
    left_out = {"delivery": {"hold_seconds"}} if contract.delivery.hold_seconds is None else None
    return _CONTRACT.dump_json(contract, exclude=left_out).decode()


def contract_of(row: ContractRow) -> Contract:
    """The contract in a row."""
    contract = _CONTRACT.validate_json(row.value)
    delivery = contract.delivery
    if delivery.hold_seconds == _FORMER_SECONDS and not _HOLD.search(_COMMENT.sub("", row.text)):
        return replace(contract, delivery=replace(delivery, hold_seconds=None))
    return contract
