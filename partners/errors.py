"""What can go wrong with partners, one class for each way a caller must act.

    PartnersError
    +-- ContractFileError    contract_invalid      the file is wrong; carries every problem found
    +-- SlotError            value_invalid         one value of a file; always gathered to a ContractFileError
    +-- SlugError            slug_invalid          no legal name of a partner
    +-- EndpointUrlError     endpoint_invalid      a URL that no webhook may be sent to
    |   +-- AccessError                            what it demands of us is said in no form that is taken
    +-- EndpointTermsError   endpoint_terms_invalid   an endpoint that there cannot be; carries every fault
    +-- CredentialTermsError parameter_invalid     a credential is asked for that there cannot be
    |   +-- CredentialMaterialError                what it is to be made of is none of that, or too weak
    +-- NotFoundError        not_found             no such partner, credential or endpoint
    +-- PreconditionError    precondition_failed   somebody else changed the contract first
    +-- EndpointChangedError endpoint_changed      somebody else changed the endpoint first
    +-- DestructiveError     change_destructive    the change removes what is in use, and was not told it may
    +-- LimitReachedError    limit_reached         as many as there may be
    +-- StateConflictError   state_conflict        not in this state
    |   +-- CredentialTakenError                   what a request would show stands for a credential already
    +-- CredentialError      credential_invalid    unknown, mistyped, wrong, or not valid yet
        +-- CredentialExpiredError   credential_expired    the secret was right
        +-- CredentialRevokedError   credential_revoked    the secret was right

Codes never change; the HTTP status of each stands in `gateway.http.problems`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a contract file, and how to mend it.

    `line` counts from 1. `pointer` is a JSON Pointer into the document (RFC 6901). `code` is one of
    `syntax`, `duplicate_key`, `not_allowed`, `depth`, `length`, `missing`, `unknown_field`, `type`,
    `range`, `enum`, `format`, `reference`.
    """

    file: str
    line: int
    pointer: str
    code: str
    detail: str

    def __str__(self) -> str:
        """Render as one line for a terminal: `acme.yaml:12: /sends/order.placed/id: ...`."""
        place = f" {self.pointer}:" if self.pointer else ""
        return f"{self.file}:{self.line}:{place} {self.detail}"


class PartnersError(Exception):
    """Root of all errors of this package."""

    code: ClassVar[str] = "partners_error"


class ContractFileError(PartnersError):
    """A contract file, or a file that it names, is wrong."""

    code = "contract_invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep every problem, in the order of the file."""
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(map(str, self.problems)))


class SlotError(PartnersError):
    """One value in a contract file that cannot be read. Becomes a `Problem`; never leaves this package."""

    code = "value_invalid"

    def __init__(self, problem: str, detail: str) -> None:
        """Keep the code of the problem, and its words."""
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


class SlugError(PartnersError):
    """Not a legal slug."""

    code = "slug_invalid"


class EndpointUrlError(PartnersError):
    """A URL that may not be an endpoint, with the rule it breaks."""

    code = "endpoint_invalid"


class AccessError(EndpointUrlError):
    """What an endpoint is said to demand of us is not that. Never repeats any of it.

    `pointer`: where in it; `detail`: what is wrong there.
    """

    def __init__(self, pointer: str, detail: str) -> None:
        """Keep where it is wrong."""
        super().__init__(f"auth{pointer} {detail}")
        self.pointer = pointer
        self.detail = detail


class EndpointTermsError(PartnersError):
    """An endpoint that there cannot be, as it is asked for."""

    code = "endpoint_terms_invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep every fault."""
        self.problems = tuple(problems)
        super().__init__("; ".join(one.detail for one in self.problems))


class CredentialTermsError(PartnersError):
    """A credential that there cannot be: role, scopes, partner or time do not fit together."""

    code = "parameter_invalid"


class CredentialMaterialError(CredentialTermsError):
    """A certificate, key or secret that is not what it is given as, or too weak. Never repeats any of it."""


class NotFoundError(PartnersError):
    """There is no such partner, credential or endpoint."""

    code = "not_found"


class PreconditionError(PartnersError):
    """The contract is not at the revision that the caller has seen."""

    code = "precondition_failed"

    def __init__(self, expected: int, actual: int) -> None:
        """Keep both revisions."""
        super().__init__(
            f"the contract is at revision {actual}, not {expected}: read it again, then repeat the change"
        )
        self.expected = expected
        self.actual = actual


class EndpointChangedError(PartnersError):
    """The endpoint is not as the caller has seen it."""

    code = "endpoint_changed"


class DestructiveError(PartnersError):
    """The change takes away an event type or an endpoint, and was not told that it may."""

    code = "change_destructive"

    def __init__(self, paths: Sequence[str]) -> None:
        """Keep what would be taken away, as paths into the contract."""
        super().__init__(
            f"this takes something away ({', '.join(paths)}): allow destructive changes if that is meant"
        )
        self.paths = tuple(paths)


class LimitReachedError(PartnersError):
    """There are already as many as there may be."""

    code = "limit_reached"


class StateConflictError(PartnersError):
    """The thing is in a state in which this cannot be done."""

    code = "state_conflict"


class CredentialTakenError(StateConflictError):
    """Two credentials cannot be shown by the same certificate, URI or client. Says nothing of whose it is."""


class CredentialError(PartnersError):
    """No valid credential. Its text says nothing about which part was wrong, and nothing of whose it is.

    `whose`: id of the credential, and its partner's slug (empty: our own side's), where the secret was found
    right and the credential is not in force; else None. For the log alone.
    """

    code = "credential_invalid"

    def __init__(self, text: str, *, whose: tuple[str, str] | None = None) -> None:
        """Keep whose it is, for the log."""
        super().__init__(text)
        self.whose = whose


class CredentialExpiredError(CredentialError):
    """Its time is over. Raised only after the secret was found right."""

    code = "credential_expired"


class CredentialRevokedError(CredentialError):
    """It was revoked. Raised only after the secret was found right."""

    code = "credential_revoked"
