"""Credentials that stand in the contract's file: made, kept and revoked by apply, and by nothing else made.

As in `partners.onboarding`: in the caller's transaction, counted, never committed here. What is to change is
found out by comparing the file with the credentials there are, not with the file before: a contract of before
there were such credentials gets them with its next apply.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import Session

from partners import store
from partners.contract import ContractFile
from partners.credential import CONTRACT_NAME, FOR_EVER, LEFT_OUT, ROLE_SCOPES, Credential
from partners.credential_material import IssuedCertificates, OauthClient, PinnedCertificate
from partners.declarations import Declared, read_declarations
from partners.errors import CredentialTakenError
from partners.issuing import CLOCK_SLACK_MS, CredentialChange, end, enter
from partners.minting import method_of, minted_of
from partners.partner import new_id
from partners.plan import Difference


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an apply does about the credentials of a contract.

    `new`: to be made. `ended`: to be revoked. `notes`: what of the rest opens nothing, in words.
    """

    new: tuple[Declared, ...] = ()
    ended: tuple[Credential, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


def plan_declaration(session: Session, file: ContractFile, *, now: int) -> Declaration:
    """Find out what `declare` would change; writes nothing.

    One that a person revoked is left revoked, whatever the file says.

    Raises:
        ContractFileError: a certificate or client of the file cannot be used.
    """
    wanted = {one.material.match: one for one in read_declarations(file)}
    there = {
        one.match: one for one in store.credentials(session, owner=file.contract.partner) if one.is_declared
    }
    new: list[Declared] = []
    ended: list[Credential] = []
    differences: list[Difference] = []
    notes: list[str] = []
    for match, one in wanted.items():
        found = there.get(match)
        if found is not None and found.revoked_at is not None and found.revoked_for != LEFT_OUT:
            notes.append(f"{one.section} {one.name} was revoked, and stays so: take it out of the file")
            continue
        notes += _remarks(one, now)
        if found is None or found.revoked_at is not None:
            differences.append(Difference("+", one.section, one.name, one.words()))
            new.append(one)
        elif found.secret != minted_of(one.material).secret:
            words = f"{one.words()}; what it is checked by changed"
            differences.append(Difference("~", one.section, one.name, words, is_destructive=True))
            new.append(one)
            ended.append(found)
    for match, found in there.items():
        if match not in wanted and found.revoked_at is None:
            section = "certificate" if found.method == "mtls" else "oauth"
            differences.append(Difference("-", section, _short(match), "it is revoked", is_destructive=True))
            ended.append(found)
    return Declaration(tuple(new), tuple(ended), tuple(differences), tuple(notes))


def declare(
    session: Session,
    declaration: Declaration,
    partner: str,
    *,
    now: int,
    entropy: Callable[[int], bytes],
) -> tuple[CredentialChange, ...]:
    """Bring about what was planned in this transaction. To be called after `store.lock`.

    Raises:
        CredentialTakenError: one of them stands for another credential already.
    """
    done = [end(session, one, now=now, reason=LEFT_OUT) for one in declaration.ended]
    for one in declaration.new:
        made = _credential(one, partner, credential_id=new_id("crd_", entropy), now=now)
        try:
            enter(session, made, now=now)
        except CredentialTakenError as error:
            raise CredentialTakenError(f"{one.section} {one.name}: {error}") from error
        done.append(CredentialChange("created", made))
    return tuple(done)


def _credential(one: Declared, partner: str, *, credential_id: str, now: int) -> Credential:
    """A credential that lives as long as the contract names it, and its certificate."""
    minted, material = minted_of(one.material), one.material
    begins = material.not_before if isinstance(material, PinnedCertificate) else 0
    return Credential(
        id=credential_id,
        partner=partner,
        role="partner",
        method=method_of(material),
        match=minted.match,
        secret=minted.secret,
        scopes=ROLE_SCOPES["partner"],
        not_before=max(begins, now - CLOCK_SLACK_MS),
        not_after=FOR_EVER if isinstance(material, OauthClient) else material.not_after,
        revoked_at=None,
        name=CONTRACT_NAME,
        created_at=now,
    )


def _remarks(one: Declared, now: int) -> list[str]:
    material = one.material
    if isinstance(material, PinnedCertificate | IssuedCertificates) and material.not_after <= now:
        return [f"{one.section} {one.name} has expired: it opens nothing"]
    if isinstance(material, PinnedCertificate) and material.is_authority:
        words = (
            "may issue others, and is taken by itself: for those that it issues write {ca: PATH, uri: URI}"
        )
        return [f"{one.section} {one.name} {words}"]
    return []


def _short(match: str) -> str:
    if match.startswith("sha256:"):
        return match[: len("sha256:") + 16] + "..."
    return match.replace("\n", " ")
