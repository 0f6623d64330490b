"""Rows of exports, of every kind, some of them erased."""

from audit.export_row import ToldByMembers, Value, erased_row, row_of
from tests.made_logs import mixed


def rows(count: int, *, content: bool = True) -> list[tuple[Value, ...]]:
    """The first entries of a mixed log; every eleventh is erased."""
    found: list[tuple[Value, ...]] = []
    for number in range(count):
        made = mixed(number)
        leaf = made.leaf().decode()
        if number % 11 == 10:
            found.append(erased_row(1, number, leaf))
            continue
        told = ToldByMembers(made.kind.value, made.at, made.members)
        shown = "base64:eA==" if content and number % 5 == 0 else None
        found.append(row_of(1, number, leaf, made.raw.decode(), told, shown))
    return found
