"""Who is locked out by other terms of `authentication`: said with the plan, since it takes effect at once."""

from collections import Counter
from collections.abc import Iterator, Sequence

from sqlmodel import Session

from partners import store
from partners.contract import Authentication
from partners.credential import RAW, Credential


def locked_out(
    session: Session, slug: str, before: Authentication, after: Authentication, *, now: int
) -> tuple[str, ...]:
    """One line for each thing by which credentials in force open less than before.

    To be asked after the change, so that what the contract declares counts. Nothing is asked where the terms
    stay. `now`: Unix milliseconds.
    """
    if before == after:
        return ()
    active = [one for one in store.credentials(session, owner=slug) if one.is_active(now)]
    return tuple(_lines(active, before, after))


def _lines(active: Sequence[Credential], before: Authentication, after: Authentication) -> Iterator[str]:
    shut = Counter(one.method for one in active if one.method not in after.accept)
    left = [one for one in active if one.method in after.accept]
    if shut:
        total, named = sum(shut.values()), ", ".join(f"{method} {n}" for method, n in sorted(shut.items()))
        rest = (
            f", {len(left)} will"
            if left
            else ", and there is no other: the partner is locked out until one is made"
        )
        yield f"authentication.accept: {_credentials(total)} ({named}) will open nothing{rest}"
    if after.require_signature and not any(_is_signing(one) for one in left):
        yield (
            "authentication.require_signature: no credential in force signs, so that no event of the "
            "partner's is taken: gateway credentials create --public-key"
        )
    if after.addresses and after.addresses != before.addresses and left:
        yield f"authentication.addresses: {_credentials(len(left))} will open from these networks alone"


def _is_signing(one: Credential) -> bool:
    """Whether it gives events a signature that proves who sent them: of a webhook's, `v1a` alone does."""
    is_webhook = one.method == "hmac" and one.secret.startswith(RAW)
    return "send" in one.scopes and (one.method == "message_signature" or is_webhook)


def _credentials(count: int) -> str:
    return f"{count} credential{'' if count == 1 else 's'} in force"
