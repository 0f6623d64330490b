"""The options that say whose endpoints and deliveries a command is about."""

from dataclasses import dataclass
from typing import Annotated

import typer

from gateway.cli.client import ALL, listed, under
from gateway.cli.command import OfPartners
from gateway.cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Whose:
    """A partner's, or the house's own in the exchange with it."""

    partner: OfPartners = None
    house: Annotated[
        bool, typer.Option("--house", help="The house's own, which get what that partner sends.")
    ] = False

    def under(self, things: str, *parts: str) -> str:
        """The path of these things. Raises UsageError: the house's, but of which partner?"""
        if not self.house:
            return under(self.partner, things, *parts)
        if self.partner is None:
            raise UsageError("--house goes with --partner: the house has its own with each partner")
        return under(self.partner, f"house-{things}", *parts)

    def listed(self, things: str) -> str:
        """The path of a list of these things, of all partners too. Raises as `under`."""
        if self.partner != ALL:
            return self.under(things)
        return listed(ALL, f"{'house-' * self.house}{things}")

    @property
    def is_all(self) -> bool:
        """Whether all partners are meant."""
        return self.partner == ALL
