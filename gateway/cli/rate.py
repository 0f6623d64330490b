"""A rate as it is typed: events a second."""

import typer


def read_rate(text: str) -> int:
    """Read 50 or 50/s.

    Raises:
        typer.BadParameter: it is neither.
    """
    number = text.removesuffix("/s")
    if not (number.isascii() and number.isdigit() and int(number)):
        raise typer.BadParameter("a rate reads 50/s")
    return int(number)
