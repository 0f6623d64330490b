"""Contracts in their rows, those that former programs wrote among them."""

import json

import pytest
from sqlmodel import Session, select

from partners import store
from partners.rows import ContractRow
from partners.stored_contract import contract_of
from tests.unit.partners.conftest import CONTRACT, Apply

MONTH = 30 * 86_400


def row(session: Session) -> ContractRow:
    return session.exec(select(ContractRow)).one()


def as_formerly(row: ContractRow, seconds: int = MONTH) -> ContractRow:
    """The row as a program wrote it that knew no contract without a hold."""
    value = json.loads(row.value)
    value["delivery"]["hold_seconds"] = seconds
    return ContractRow(**{**row.model_dump(), "value": json.dumps(value)})


@pytest.mark.parametrize(("text", "seconds"), [("", None), ("0s", 0), ("30d", MONTH), ("60d", 2 * MONTH)])
def test_a_hold_comes_back_as_it_was_written(
    session: Session, apply: Apply, text: str, seconds: int | None
) -> None:
    apply(CONTRACT + (f"delivery: {{hold: {text}}}\n" if text else ""))
    contract = store.load(session).contract("acme")
    assert contract is not None
    assert contract.delivery.hold_seconds == seconds
    # A former program reads a number or none, and nothing else.
    assert type(json.loads(row(session).value)["delivery"].get("hold_seconds", 1)) is int


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# delivery: {retry: standard-75h, hold: 30d}\n",
        "delivery: {order: key}  # hold: 30d, as usual\n",
        "delivery:\n  # hold: 30d\n  order: key\n",
    ],
)
def test_a_hold_that_a_former_program_made_up_is_none(session: Session, apply: Apply, text: str) -> None:
    apply(CONTRACT + text)
    assert contract_of(as_formerly(row(session))).delivery.hold_seconds is None


@pytest.mark.parametrize(
    "text",
    [
        "delivery: {hold: 30d}\n",
        "delivery: {order: key, hold: 4w}\n",
        "delivery:\n  order: none  # as usual\n  hold: 30d  # a month\n",
        "delivery: {'order': key,'hold' : 30d}\n",
        'delivery:\n  "hold": 720h\n',
    ],
)
def test_a_hold_that_a_former_program_read_counts(session: Session, apply: Apply, text: str) -> None:
    apply(CONTRACT + text)
    assert contract_of(as_formerly(row(session))).delivery.hold_seconds == MONTH


def test_another_one_than_it_made_up_was_written(session: Session, apply: Apply) -> None:
    apply(CONTRACT)
    assert contract_of(as_formerly(row(session), 5)).delivery.hold_seconds == 5
