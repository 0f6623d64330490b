"""From a request to exactly one caller, or to an error that says which step failed and no more."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from gateway.auth.caller import Caller
from gateway.auth.key import HOW
from gateway.auth.proof import Owed, Proof, Way, not_in_force
from gateway.auth.request import Shown
from gateway.auth.source_address import verify_source
from gateway.errors import CallerError
from partners.allowance import is_within, shared_types
from partners.credential import Credential, Method, verify_in_force
from partners.directory import Directory
from partners.errors import CredentialError
from partners.partner import Partner

_STRENGTH: Final[Sequence[Method]] = ("message_signature", "hmac", "mtls", "jwt", "api_key")
"""Which proof a receipt names where a request has several: the first of these."""


Later = Callable[[], Awaitable[Directory]]
"""The directory as it is by a look that begins after the call."""

_UNKNOWN: Final = "credential_invalid"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A caller as the head of the request has it.

    `owed`: checks of the body that have to pass before it is one. Nobody may act on a candidate that owes.
    `proved`: called once they have passed; what a stranger must not hear of the caller is refused there.
    `standing`: asks a later directory whether all of it still holds; raises as `proved` does. `ends_at`: when
    what was shown ends by itself, whatever becomes of the credential; Unix milliseconds.
    """

    caller: Caller
    owed: tuple[Owed, ...] = ()
    proved: Callable[[], None] = field(default=lambda: None, repr=False)
    standing: Callable[[Directory, int], None] = field(default=lambda _later, _now: None, repr=False)
    ends_at: int | None = None

    def confirm(self, body: bytes) -> Caller:
        """The caller, once the body is what was signed. `body`: as it was sent.

        Raises:
            CallerError: it is another, or its partner may not come in, or not this way.
        """
        caller = self.caller
        for check in self.owed:
            origin = check(body)
            if origin is not None and caller.origin is None:
                caller = replace(caller, origin=origin)
        self.proved()
        return caller


@dataclass(frozen=True, slots=True)
class Standing:
    """What of a candidate is asked again as long as its request is open; holds nothing that grows old.

    `verify`, `ends_at`: as a candidate's. `partner`: its slug.
    """

    verify: Callable[[Directory, int], None] = field(repr=False)
    partner: str | None
    ends_at: int | None

    @classmethod
    def of(cls, candidate: Candidate) -> "Standing":
        """Of a candidate whose proof is whole."""
        partner = candidate.caller.partner
        return cls(candidate.standing, None if partner is None else partner.slug, candidate.ends_at)


@dataclass(frozen=True, slots=True)
class Identifier:
    """Knows the ways in which requests prove their caller.

    `used`: told the ids of all credentials that a request was proved by, and when. `takes_house`: whether our
    own side comes in here too; where it does not, its credentials are nobody's, in every respect.
    """

    ways: Sequence[Way]
    used: Callable[[Sequence[str], int], None] = field(default=lambda _ids, _now: None, repr=False)
    takes_house: bool = True

    async def identify(
        self, shown: Shown, directory: Directory, *, now: int, later: Later | None = None
    ) -> Candidate:
        """Return who calls. What the caller may do is not asked here.

        `later`: the directory by a new look, asked for whatever is refused as `credential_invalid`: known and
        wrong is looked for as unknown is, so that nobody learns from the time it takes which ids there are.

        Steps, each of which refuses: 1. at least one credential is shown; 2. each that is shown is right and
        in force; 3. all of them are of one party and one role; 4. its partner exists; 5. the contract accepts
        each way; 6. and where the caller comes from. How the partner stands is for the guard: who is
        suspended still reads its log.

        Raises:
            CallerError: `credential_missing`, `credential_invalid`, `credential_expired`,
                `credential_revoked`, `signature_invalid`, `signature_stale`, `signature_replayed`,
                `source_address_denied`.
            AwayError: what has to be asked for is away: the database, an issuer of tokens.
        """
        directory = self._seen(directory)
        # 1.
        ways = [way for way in self.ways if way.is_shown(shown)]
        if not ways:
            raise CallerError("credential_missing", "The request shows no credential.", hint=HOW)
        # 2.
        proofs: list[Proof] = []
        for way in ways:
            try:
                proofs.append(await way.prove(shown, directory, now=now))
            except CallerError as error:
                newer = None if later is None or error.code != _UNKNOWN else self._seen(await later())
                if newer is None or newer.revision == directory.revision:
                    raise
                # That way alone: another one's nonce is spent by now.
                directory = newer
                proofs.append(await way.prove(shown, directory, now=now))
        # 3.
        first, *others = (proof.credential for proof in proofs)
        if any((one.partner, one.role) != (first.partner, first.role) for one in others):
            text = "The credentials of the request are not of one caller; show those of one."
            raise CallerError("credential_invalid", text)
        # 4.
        partner = _partner(first, directory)
        owed = tuple(one.owed for one in proofs if one.owed is not None)
        credentials = [proof.credential for proof in proofs]
        # 5. and 6., at once where nothing is owed: nobody hears what a contract says before it is proved who
        # asks.
        finish = partial(self._finish, credentials, shown.peer, directory, now)
        if not owed:
            finish()
        standing = partial(_verify_standing, credentials, shown.peer)
        ends = [proof.ends_at for proof in proofs if proof.ends_at is not None]
        return Candidate(_caller(proofs, partner), owed, finish, standing, min(ends, default=None))

    def _seen(self, directory: Directory) -> Directory:
        return directory if self.takes_house else directory.of_partners()

    def _finish(self, credentials: Sequence[Credential], peer: str, directory: Directory, now: int) -> None:
        try:
            _verify_terms(credentials, peer, directory)
        except CallerError as error:
            error.whose = credentials[0].whose
            raise
        self.used([credential.id for credential in credentials], now)


def _caller(proofs: Sequence[Proof], partner: Partner | None) -> Caller:
    strongest = min(proofs, key=lambda one: _STRENGTH.index(one.credential.method))
    scopes, types = strongest.credential.scopes, strongest.credential.send_types
    rates: dict[str, int] = {}
    for one in proofs:
        scopes &= one.credential.scopes
        types = shared_types(types, one.credential.send_types)
        if one.credential.events_per_second is not None:
            rates[one.credential.id] = one.credential.events_per_second
    origin = next((one.origin for one in proofs if one.origin is not None), None)
    message_id = next((one.message_id for one in proofs if one.message_id is not None), None)
    return Caller(
        strongest.credential,
        partner,
        strongest.credential.method,
        scopes,
        origin,
        message_id,
        types,
        tuple(rates.items()),
    )


def _partner(credential: Credential, directory: Directory) -> Partner | None:
    if credential.partner is None:
        return None
    partner = directory.partner(credential.partner)
    if partner is None:
        raise CallerError("credential_invalid", "This credential is not known.")
    return partner


def _verify_standing(credentials: Sequence[Credential], peer: str, later: Directory, now: int) -> None:
    """Whether what was shown still counts, by a directory that came later."""
    for one in credentials:
        there = later.credential(one.method, one.match)
        if there is None or there.id != one.id:
            raise CallerError("credential_invalid", "This credential is not known.")
        try:
            verify_in_force(there, now=now)
        except CredentialError as error:
            raise not_in_force(error) from error
        if not (one.scopes <= there.scopes and is_within(one.send_types, there.send_types)):
            # Also where what is left would do: what it was to make by this request may have what is gone.
            text = "The credential was narrowed while its request was under way; ask again."
            raise CallerError("scope_missing", text)
    _verify_terms(credentials, peer, later)


def _verify_terms(credentials: Sequence[Credential], peer: str, directory: Directory) -> None:
    """Steps 5 and 6: what the partner's contract says to callers that are proved."""
    partner = _partner(credentials[0], directory)
    if partner is None:
        return
    contract = directory.contract(partner.slug)
    if contract is None:
        return
    taken = contract.authentication.accept
    for one in credentials:
        if one.method not in taken:
            text = f"The contract does not take {one.method}; it takes {', '.join(taken)}."
            raise CallerError("credential_invalid", text)
    verify_source(peer, contract.authentication.addresses)
