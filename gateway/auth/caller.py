"""Who calls, and how that was proved."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.origin_evidence import Origin
from partners.credential import Credential, Method, Role, Scope
from partners.partner import Partner


@dataclass(frozen=True, slots=True)
class Caller:
    """An identified caller.

    `credential`: the strongest that the request showed; `method`: of that. `partner`: whose it is; None for
    our own side (operators and teams). `scopes`: what all credentials of the request allow together.
    `origin`: the caller's own signature, where there is one. `message_id`: what a signed webhook is called by
    its sender.
    """

    credential: Credential
    partner: Partner | None
    method: Method
    scopes: frozenset[Scope]
    origin: Origin | None = field(default=None, repr=False)
    message_id: str | None = None

    @property
    def role(self) -> Role:
        """The role of its credential."""
        return self.credential.role

    def by(self) -> Mapping[str, str]:
        """As evidence names the author of a change. Source: docs/formats.md, section 3."""
        return {"role": self.role, "credential": self.credential.id}
