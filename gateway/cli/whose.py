"""The options that say whose endpoints and deliveries a command is about."""

from dataclasses import dataclass
from typing import Annotated

import typer

from gateway.cli.client import under
from gateway.cli.command import OfPartner
from gateway.cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Whose:
    """A partner's, or the house's own in the exchange with it."""

    partner: OfPartner = None
    house: Annotated[
        bool, typer.Option("--house", help="The house's own, which get what that partner sends.")
    ] = False

    def under(self, things: str, *parts: str) -> str:
        """The path of these things. Raises UsageError: the house's, but of which partner?"""
        if not self.house:
            return under(self.partner, things, *parts)
        if self.partner in {None, "-"}:
            raise UsageError("--house goes with --partner: the house has its own with each partner")
        return under(self.partner, f"house-{things}", *parts)
