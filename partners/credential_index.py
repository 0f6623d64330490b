"""Everybody's credentials by what requests show, without those that ended so long ago that nobody is told.

Immutable: a later one takes its place. What an API key, a request's signature or a webhook shows is an id of
the gateway's own: once the credential is out of here, that is unknown, and opens nothing. Certificates and
clients of token servers stay for ever. What they show is the partner's own, so that one which was revoked
must not pass for unknown: a certificate would come in again by a URI that it has. Only operators and
contracts bring them, so that they are few.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from partners.credential import DAY_MS, Credential, Method

TOLD_MS: Final = 90 * DAY_MS
"""For so long after its end whoever shows a credential hears that it was revoked, or has expired."""

LEAVING: Final[frozenset[Method]] = frozenset({"api_key", "message_signature", "hmac"})
"""Ways to show a credential by an id that the gateway drew, and that stands for no other, ever."""

_Shown = tuple[Method, str]


class CredentialIndex:
    """Credentials by what a request shows."""

    __slots__ = ("_by_id", "_by_shown", "_issuers", "_takes_house")

    def __init__(
        self,
        by_id: Mapping[str, Credential],
        by_shown: Mapping[_Shown, Credential],
        issuers: Mapping[str, bool],
        *,
        takes_house: bool = True,
    ) -> None:
        """Of tables that fit together and never change; `of` makes them.

        `issuers`: of tokens, each with whether a partner's credential counts on it.
        """
        self._by_id = by_id
        self._by_shown = by_shown
        self._issuers = issuers
        self._takes_house = takes_house

    @classmethod
    def of(cls, credentials: Iterable[Credential]) -> "CredentialIndex":
        """Index these."""
        by_id = {one.id: one for one in credentials}
        by_shown = {_shown(one): one for one in by_id.values()}
        return cls(by_id, by_shown, _issuers(by_shown))

    def after(self, changed: Iterable[Credential]) -> "CredentialIndex":
        """The index with these new or changed, all others as they were. Two tables are copied for it."""
        new = {one.id: one for one in changed}
        if not new:
            return self
        by_id, by_shown = dict(self._by_id), dict(self._by_shown)
        for one in new.values():
            before = by_id.get(one.id)
            if before is not None and _shown(before) != _shown(one):
                # What it was shown by stands for another one now.
                del by_shown[_shown(before)]
        by_id.update(new)
        by_shown.update((_shown(one), one) for one in new.values())
        has_tokens = any(one.method == "jwt" for one in new.values())
        issuers = _issuers(by_shown) if has_tokens else self._issuers
        return CredentialIndex(by_id, by_shown, issuers, takes_house=self._takes_house)

    def without_ended(self, before: int) -> "CredentialIndex":
        """The index without those that may leave and ended before this instant, Unix milliseconds."""
        by_id = {name: one for name, one in self._by_id.items() if not is_left(one, before)}
        if len(by_id) == len(self._by_id):
            return self
        by_shown = {_shown(one): one for one in by_id.values()}
        return CredentialIndex(by_id, by_shown, self._issuers, takes_house=self._takes_house)

    def of_partners(self) -> "CredentialIndex":
        """This index without our own side's, which are unknown to it. Nothing is copied."""
        return CredentialIndex(self._by_id, self._by_shown, self._issuers, takes_house=False)

    def find(self, method: Method, match: str) -> Credential | None:
        """Find a credential by what a request shows."""
        found = self._by_shown.get((method, match))
        return None if found is None or not self._takes(found) else found

    def __iter__(self) -> Iterator[Credential]:
        """Go through all of them."""
        return filter(self._takes, self._by_id.values())

    def is_issuer(self, issuer: str) -> bool:
        """Whether a credential counts on tokens by this issuer."""
        found = self._issuers.get(issuer)
        return found is not None and (self._takes_house or found)

    def _takes(self, one: Credential) -> bool:
        return self._takes_house or one.partner is not None


def is_left(credential: Credential, before: int) -> bool:
    """Whether it may leave, and ended before this instant, Unix milliseconds."""
    revoked_at = credential.revoked_at
    ended_at = credential.not_after if revoked_at is None else min(credential.not_after, revoked_at)
    return credential.method in LEAVING and ended_at < before


def _shown(credential: Credential) -> _Shown:
    return credential.method, credential.match


def _issuers(by_shown: Mapping[_Shown, Credential]) -> Mapping[str, bool]:
    found: dict[str, bool] = {}
    for (method, match), one in by_shown.items():
        if method == "jwt":
            issuer = match.partition("\n")[0]
            found[issuer] = found.get(issuer, False) or one.partner is not None
    return found
