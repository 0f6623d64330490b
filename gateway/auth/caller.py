"""Who calls, and how that was proved."""

from collections.abc import Mapping
from dataclasses import dataclass

from partners.credential import Credential, Method, Role, Scope
from partners.partner import Partner


@dataclass(frozen=True, slots=True)
class Caller:
    """An identified caller. `partner`: whose it is; None for our own side (operators and teams)."""

    credential: Credential
    partner: Partner | None
    method: Method

    @property
    def role(self) -> Role:
        """The role of its credential."""
        return self.credential.role

    @property
    def scopes(self) -> frozenset[Scope]:
        """What its credential allows."""
        return self.credential.scopes

    def by(self) -> Mapping[str, str]:
        """As evidence names the author of a change. Source: docs/formats.md, section 3."""
        return {"role": self.role, "credential": self.credential.id}
