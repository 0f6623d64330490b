"""One way in which a request proves who calls: what each of the ways answers, and what it may still owe."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.auth.request import Shown
from gateway.errors import CallerError
from gateway.origin_evidence import Origin
from partners.credential import Credential, Method
from partners.directory import Directory
from partners.errors import CredentialError

Owed = Callable[[bytes], Origin | None]
"""Checks the body, as it was sent; raises `CallerError` where it is not the one that was signed.

Returns the caller's own signature where it was made over the body itself.
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """A credential that a request has shown rightly, as far as its head can tell.

    `owed`: what is still to be checked on the body before anybody may act on this. `origin`: only from a
    signature that nobody but the caller can have made. `message_id`: what the signature calls the message; a
    repeat has the same. `ends_at`: when what was shown ends by itself, Unix milliseconds.
    """

    credential: Credential
    origin: Origin | None = None
    owed: Owed | None = field(default=None, repr=False)
    message_id: str | None = None
    ends_at: int | None = None


class Way(Protocol):
    """One kind of credential: how requests show it, and how it is checked."""

    @property
    def method(self) -> Method:
        """The kind."""
        ...

    def is_shown(self, shown: Shown) -> bool:
        """Whether a request means to prove its caller this way; it is then refused where it cannot."""
        ...

    async def prove(self, shown: Shown, directory: Directory, *, now: int) -> Proof:
        """Check what is shown.

        Raises:
            CallerError: it proves nobody; says which step failed, and nothing of what was compared.
            AwayError: what has to be asked for is away.
        """
        ...


def not_in_force(error: CredentialError) -> CallerError:
    """What the caller is told of a credential that does not count; whose it is goes with it, for the log."""
    told = CallerError(error.code, f"{error}.")
    told.whose = error.whose
    return told
