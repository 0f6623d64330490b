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
    its sender. `send_types`: the event types that all of them may send, None: whatever the contract allows.
    `rates`: of those that have a rate of their own, the id and events a second.
    """

    credential: Credential
    partner: Partner | None
    method: Method
    scopes: frozenset[Scope]
    origin: Origin | None = field(default=None, repr=False)
    message_id: str | None = None
    send_types: frozenset[str] | None = None
    rates: tuple[tuple[str, int], ...] = ()

    @property
    def role(self) -> Role:
        """The role of its credential."""
        return self.credential.role

    @property
    def events_per_second(self) -> int | None:
        """The least of its own rates; None: it has none."""
        return min((rate for _, rate in self.rates), default=None)

    def by(self) -> Mapping[str, str]:
        """As evidence names the author of a change. Source: docs/formats.md, section 3."""
        return {"role": self.role, "credential": self.credential.id}
