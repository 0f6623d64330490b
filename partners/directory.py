"""Everything about partners as of one moment, immutable and in dictionaries: the hot path asks no SQL."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from partners.contract import Contract, Line
from partners.credential import Credential, Method
from partners.credential_index import CredentialIndex
from partners.endpoint import Endpoint
from partners.former import Former
from partners.forwarding import Agreed
from partners.partner import Partner


@dataclass(frozen=True, slots=True)
class Account:
    """One partner with what belongs to it. `contract` None: none was applied yet.

    `house`: endpoints of our side, which get what the partner sends. `forwards`: what goes on to others, or
    did once, by the type that is sent and the partner that it goes on to. `sha256`: of the contract, as
    `contract_sha256`. `former`: lines of earlier contracts that this one has no more, newest first.
    """

    partner: Partner
    contract: Contract | None
    lines: tuple[Line, ...]
    endpoints: tuple[Endpoint, ...]
    house: tuple[Endpoint, ...] = ()
    forwards: Mapping[tuple[str, str], Agreed] = field(default_factory=dict, hash=False)
    sha256: bytes | None = field(default=None, repr=False)
    former: tuple[Former, ...] = ()


class Directory:
    """An index of accounts and credentials. Never changed; a later one takes its place.

    What did not change between two of them is in both the same object.
    """

    __slots__ = ("_accounts", "_credentials", "_of_partners", "_partners", "revision")

    def __init__(
        self, revision: int, accounts: Iterable[Account], credentials: Iterable[Credential] | CredentialIndex
    ) -> None:
        """Index what was loaded at this revision of the tables."""
        self.revision = revision
        self._accounts: Mapping[str, Account] = {account.partner.slug: account for account in accounts}
        self._credentials = (
            credentials if isinstance(credentials, CredentialIndex) else CredentialIndex.of(credentials)
        )
        self._partners = tuple(self._accounts[slug].partner for slug in sorted(self._accounts))
        self._of_partners: Directory | None = None

    def after(
        self, revision: int, accounts: Iterable[Account], credentials: Iterable[Credential]
    ) -> "Directory":
        """The directory of a later revision: these are new or changed, all others are as they were."""
        known = {**self._accounts, **{account.partner.slug: account for account in accounts}}
        return Directory(revision, known.values(), self._credentials.after(credentials))

    def without_ended(self, before: int) -> "Directory":
        """This directory without credentials that ended before this instant, as `CredentialIndex`."""
        held = self._credentials.without_ended(before)
        return self if held is self._credentials else Directory(self.revision, self._accounts.values(), held)

    def of_partners(self) -> "Directory":
        """This directory without our own side's credentials: who shows one of those is unknown to it."""
        if self._of_partners is None:
            held = self._credentials.of_partners()
            self._of_partners = Directory(self.revision, self._accounts.values(), held)
        return self._of_partners

    def account(self, slug: str) -> Account | None:
        """Find a partner with what belongs to it."""
        return self._accounts.get(slug)

    def partner(self, slug: str) -> Partner | None:
        """Find a partner, whatever its state."""
        account = self._accounts.get(slug)
        return None if account is None else account.partner

    def partners(self) -> tuple[Partner, ...]:
        """List all partners, closed ones too, by slug."""
        return self._partners

    def credential(self, method: Method, match: str) -> Credential | None:
        """Find a credential by what a request shows; revoked and expired ones too, until they leave."""
        return self._credentials.find(method, match)

    def credentials(self, method: Method) -> tuple[Credential, ...]:
        """List everybody's credentials of a kind; revoked and expired ones too, until they leave."""
        return tuple(one for one in self._credentials if one.method == method)

    def all_credentials(self) -> tuple[Credential, ...]:
        """List everybody's credentials; revoked and expired ones too, until they leave."""
        return tuple(self._credentials)

    def is_issuer(self, issuer: str) -> bool:
        """Whether a credential, a revoked or expired one too, counts on tokens by this issuer."""
        return self._credentials.is_issuer(issuer)

    def lines(self, partner: str) -> tuple[Line, ...]:
        """List a partner's lines, in the order of its contract; none for an unknown partner."""
        account = self._accounts.get(partner)
        return () if account is None else account.lines

    def former(self, partner: str) -> tuple[Former, ...]:
        """List lines of a partner's earlier contracts that the one in force has no more, newest first."""
        account = self._accounts.get(partner)
        return () if account is None else account.former

    def forwards(self, partner: str) -> Mapping[tuple[str, str], Agreed]:
        """What of a partner's events goes on to others, or did once, by the type sent and to whom."""
        account = self._accounts.get(partner)
        return {} if account is None else account.forwards

    def endpoints(self, partner: str) -> tuple[Endpoint, ...]:
        """List a partner's endpoints in any state, by id; none for an unknown partner."""
        account = self._accounts.get(partner)
        return () if account is None else account.endpoints

    def house_endpoints(self, partner: str) -> tuple[Endpoint, ...]:
        """List our side's endpoints in the exchange with a partner, in any state, by id."""
        account = self._accounts.get(partner)
        return () if account is None else account.house

    def contract(self, partner: str) -> Contract | None:
        """Find the contract in force, with its revision."""
        account = self._accounts.get(partner)
        return None if account is None else account.contract
