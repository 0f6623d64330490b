"""The papers of one event, gathered from the database: what the gateway hands out for a dispute.

The same papers make the same bytes. Of the content nothing is in them but its digest: whoever has it compares
it. What was erased is not told by anything else here, but that it was: by the log's own entries of that.

Source: docs/formats.md, section 6.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlmodel import Session

from audit import changes, log, search
from audit.checkpoint import read_checkpoint
from audit.entry import Entry
from audit.evidence import Kind
from audit.note import VerifierKey
from audit.parties import encode_key
from audit.proof import InclusionProof, format_proof
from audit.receipt import parse_receipt
from audit.sender import sender_paper
from audit.store import LogState
from gateway.ingress import claims
from gateway.ingress.claims import Claim
from gateway.keys import KeyRing
from partners import store
from partners.contract import contract_bytes
from partners.credential import RAW
from schemas import registry
from schemas.schema import canonical_form

_NAME: Final = re.compile(r"[\w.-]{1,80}", re.ASCII)
MOST_ENTRIES: Final = 2_000
"""Of one event in a bundle; an export of the log has them all."""


Cosigned = Callable[[Session, LogState], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Whose:
    """A partner, and the name of its log, without an epoch."""

    partner: str
    log: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """Whether the event is known, and the files of its bundle: none as long as the log does not prove it."""

    is_known: bool
    files: Mapping[str, bytes]


def gather(session: Session, whose: Whose, ref: bytes, keys: KeyRing, cosigned: Cosigned) -> Gathered:
    """The files of an event's bundle, in their order.

    `cosigned`: further signature lines of a published checkpoint that are stored. What is signed when
    somebody asks is not in it: the same papers make the same bytes.
    """
    name, partner = whose.log, whose.partner
    found = search.timeline(session, name, ref)[:MOST_ENTRIES]
    claim = claims.read(session, [ref]).get(ref)
    if claim is not None and claim.key.partner != partner:
        claim = None
    states = _States(session, cosigned)
    entries = list(states.published(found))
    accepted = next((one for one in entries if one.kind is Kind.ACCEPTED), None)
    if not entries or (claim is not None and accepted is None):
        return Gathered(claim is not None or bool(found), {})
    evidence = None if accepted is None else accepted.evidence()
    naming = _attempted(entries) if accepted is None else None if evidence is None else accepted
    named = None if naming is None else naming.evidence()
    members = {} if named is None else named.members
    # Whose evidence was erased is not told by its receipt either.
    kept = None if claim is None or evidence is None else claim
    terms = list(states.published(_terms(session, name, members, naming)))
    bare = [one for one in entries if one.raw is None]
    erasing = list(states.published(changes.find_erasing(session, bare)))
    files: dict[str, bytes] = {}
    if kept is not None:
        files["receipt.jws"] = kept.receipt.encode()
        known = keys.public_keys("receipt").get(parse_receipt(files["receipt.jws"]).key_id)
        if known is not None:
            files["keys/receipt.der"] = encode_key(known)
    files["keys/log.vkey"] = "".join(f"{key}\n" for key in _log_keys(states.known.values(), keys)).encode()
    for one in (*entries, *terms, *erasing):
        files |= _entry_files(session, one, states.known[one.origin])
    if terms:
        files |= _contract(session, partner, members["contract"])
    files |= _schema(session, members)
    files |= _signed(session, partner, kept, entries)
    return Gathered(is_known=True, files=files)


def _attempted(entries: Sequence[Entry]) -> Entry | None:
    """The first attempt that names by what the event went out, if one does.

    What a team's own producer put on a topic was accepted by nobody.
    """
    tried = ((one, one.evidence()) for one in entries if one.kind is Kind.ATTEMPTED)
    told = (one for one, said in tried if said is not None and said.members.get("contract") is not None)
    return next(told, None)


@dataclass(frozen=True, slots=True)
class _States:
    """The logs of a bundle, each as it was when first asked for: all of one log is under one checkpoint."""

    session: Session
    cosigned: Cosigned
    known: dict[str, LogState] = field(default_factory=dict)

    def published(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Those that a published checkpoint covers."""
        for one in entries:
            if one.origin not in self.known:
                state = log.state(self.session, one.origin)
                if state.checkpoint is not None:
                    note = "".join([state.checkpoint, *self.cosigned(self.session, state)])
                    state = replace(state, checkpoint=note)
                self.known[one.origin] = state
            if one.index < self.known[one.origin].checkpoint_size:
                yield one


def _terms(session: Session, name: str, members: Mapping[str, Any], naming: Entry | None) -> list[Entry]:
    """The entry by which the contract that the receipt, or an attempt, names came into force."""
    revision = members.get("contract")
    if naming is None or not isinstance(revision, int):
        return []
    named = changes.Naming(revision, members.get("contract_sha256"), naming)
    found = changes.find_contract(session, name, named)
    return [] if found is None else [found]


def _log_keys(states: Iterable[LogState], keys: KeyRing) -> Iterator[VerifierKey]:
    """The published keys that signed these checkpoints, each under the name of its log and epoch."""
    for published in (one.checkpoint for one in states if one.checkpoint is not None):
        checkpoint, note = read_checkpoint(published.encode())
        signers = {line.key_id for line in note.lines if line.name == checkpoint.origin}
        for key in keys.public_keys("checkpoint").values():
            found = VerifierKey(checkpoint.origin, key)
            if found.key_id in signers:
                yield found


def _entry_files(session: Session, entry: Entry, state: LogState) -> dict[str, bytes]:
    """An entry's evidence (its leaf, once that was erased) and its proof."""
    stem = f"entries/{entry.origin.rpartition('/')[2]}/{entry.index}"
    hashes = log.prove(session, entry.origin, entry.index, state.checkpoint_size)
    proof = InclusionProof(entry.index, hashes, (state.checkpoint or "").encode())
    what = {f"{stem}.leaf": entry.leaf} if entry.raw is None else {f"{stem}.json": entry.raw}
    return {**what, f"{stem}.tlog-proof": format_proof(proof)}


def _contract(session: Session, partner: str, revision: int) -> dict[str, bytes]:
    found = store.contract_file(session, partner, revision)
    if found is None:
        return {}
    return {f"contract-{revision}": contract_bytes(found[0].text, dict(found[0].files))}


def _schema(session: Session, members: Mapping[str, Any]) -> dict[str, bytes]:
    """The schema's canonical form, if it is the one that the receipt, or an attempt, names."""
    named = members.get("schema")
    schema = registry.by_id(session, named["id"]) if isinstance(named, dict) else None
    if schema is None or not isinstance(named, dict) or schema.fingerprint.hex() != named["fingerprint"]:
        return {}
    return {"schema.json": canonical_form(schema.root).encode()}


def _signed(
    session: Session, partner: str, claim: Claim | None, entries: Sequence[Entry]
) -> dict[str, bytes]:
    """The sender's own signature, and the public keys that it and receivers signed with, as we know them."""
    files: dict[str, bytes] = {}
    names: list[str] = []
    if claim is not None and claim.origin_signature is not None:
        name, paper = sender_paper(claim.origin_signature)
        files[name] = paper
        names.append(str(json.loads(claim.origin_signature)["key_id"]))
    for entry in entries:
        evidence = entry.evidence() if entry.kind is Kind.ACKNOWLEDGED else None
        names += [] if evidence is None else [evidence.text("key") or ""]
    for one in dict.fromkeys(names):
        key = _public_key(session, partner, one)
        if key is not None:
            files[f"keys/{one}.der"] = key
    return files


def _public_key(session: Session, partner: str, name: str) -> bytes | None:
    """The public key of a credential of this partner's, or of our side's, in DER."""
    found = store.credential(session, name) if _NAME.fullmatch(name) else None
    if found is None or found.partner not in {partner, None}:
        return None
    if found.method == "hmac":
        return encode_key(found.secret.removeprefix(RAW)) if found.secret.startswith(RAW) else None
    return found.secret if found.method == "message_signature" else None
