"""Whose rows a list shows: a condition of SQL."""

from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal_column

from partners.endpoint import ALL, house_of, party_of

_PREFIX: Final = house_of("")


def is_of(column: Any, owner: str) -> ColumnElement[bool]:
    """Whether a row is of an owner. Of `ALL`, or the house with `ALL`: of all partners, on that side.

    `column`: the owner as `Endpoint.owner` has it. Without parameters where all are meant, as the conditions
    of indexes have it: no index is taken for a rule that a parameter may change.
    """
    partner, side = party_of(owner)
    if partner != ALL:
        return column == owner  # type: ignore[no-any-return]  # of a column it is a condition
    begins = func.substr(column, literal_column("1"), literal_column(str(len(_PREFIX))))
    prefix: ColumnElement[str] = literal_column(f"'{_PREFIX}'")
    return begins == prefix if side == "house" else begins != prefix
