"""What is rarer than a receipt and its proof: bundles of evidence, the content, others' signatures.

A bundle is a tar archive. Each of its bytes is signed, is in the log, or has its SHA-256 in evidence that is;
what nothing vouches for is refused.

Source: docs/formats.md, section 6; docs/verification.md.
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from audit.case import UNTIMELY, Case, Sentence, say
from audit.failures import MalformedError, VerificationError
from audit.papers import expect, fit
from audit.parties import Said, algorithm_of, read_sender, read_token

_HEAD: Final = rb"([\w./-]{1,100})\x00*0000644\x00(?:0{7}\x00){2}([0-7]{11})\x000{11}\x00([0-7]{6})\x00 "
_FILE: Final = _HEAD + rb"0\x00{100}ustar\x0000\x00{247}"
"""The head of a file in a ustar archive: name, size and checksum; no owner, no time."""

_BLOCK: Final = 512
_LEAF: Final = rb"gateway-leaf/v1\n([a-z_.]+)\n([0-9TZ-]+)\n[\w+/]{43}=\n"
_CUT: Final = re.compile(r"sender-(0|[1-9][0-9]{0,6})", re.ASCII)
_FILES: Final = {"content", "contract", "schema.json", "sender"}
_SAID: Final[Mapping[str, str]] = {
    "event.accepted": "accepted {type} {id!r} from {source!r} for {partner}",
    "delivery.attempted": "sent {content_length} bytes with SHA-256 {content_sha256} to {url} in attempt "
    "{number}, and was answered {status} ({outcome})",
    "delivery.parked": "gave up the delivery to {endpoint} after {attempts} attempts ({reason})",
    "delivery.acknowledged": "heard from the receiver that it has the event, signed with {key}",
    "contract.changed": "put revision {revision} of the contract into force, SHA-256 {after_sha256}",
}
_NAMED: Final = (
    ("event.accepted", "content", "{content[sha256]}"),
    ("event.accepted", "schema.json", "{schema[fingerprint]}"),
    ("event.accepted", "sender", "{origin}"),
    ("event.accepted", "contract-{contract}", "{contract_sha256}"),
    ("delivery.attempted", "content", "{content_sha256}"),
    ("contract.changed", "contract-{revision}", "{after_sha256}"),
)
"""Of which kind of evidence, which file, and where the SHA-256 of its bytes stands."""

_ONCE: Final = {"event.accepted": "acceptance of {ref}", "delivery.attempted": "attempt {attempt}"}
"""What there is one entry of: another that says otherwise contradicts it (`audit.repeated`)."""

_OF_EVENT: Final = ("event.", "delivery.")

_MINE: Final[Mapping[str, str]] = {
    "event.accepted": "the content is your copy",
    "delivery.attempted": "what was sent is your copy",
    "delivery.acknowledged": "what the receiver signed for is your copy",
}


def add_bundled(case: Case, held: dict[str, bytes], content: bytes | None) -> None:
    """Verify what is held besides a receipt and its proof; nothing may be left over.

    1. Checkpoints, and growth. 2. Entries of the log. 3. Files, and the caller's content, whose SHA-256
    evidence names. 4. The sender's own signature, and those of receivers. 5. Keys that the caller gave must
    have signed something.

    Raises:
        InconsistentError: the log was rewritten or has two histories, or nothing shows that it was not.
        VerificationError: something does not fit.
    """
    if held.pop("anchor.json", None) is not None:
        case.not_proved.append("that any witness saw it: `gateway verify --policy FILE` looks at that")
    if not held.keys().isdisjoint({"checkpoint", "consistency"}):
        from audit.growth import add_heads  # noqa: PLC0415 - loaded where such a paper is

        add_heads(case, held)  # 1
    stems = [one[:-11] for one in held if one.startswith("entries/") and one.endswith(".tlog-proof")]
    heads: dict[str, str] = {}
    leaves = {one: _add_entry(case, held, one, heads) for one in stems}  # 2
    if len(case.shown) > 1:
        from audit.forks import compare_shown  # noqa: PLC0415 - a receipt alone shows nothing

        compare_shown(case.shown)
    if len({what for what, _ in case.shown if what.startswith("the root ")}) > 1:
        from audit.ungrown import ungrown  # noqa: PLC0415 - loaded where checkpoints are several

        case.not_proved += ungrown(case.shown, case.proved)
    if bare := {stem: leaf for stem, leaf in leaves.items() if leaf not in case.records}:
        from audit.bare import tell_bare  # noqa: PLC0415 - loaded where evidence is missing

        tell_bare(case, bare)
    received: dict[tuple[str, str], str] = {}
    if "acknowledgement" in held:
        from audit.receiver import add_acknowledgement  # noqa: PLC0415 - loaded where such a paper is

        received = add_acknowledgement(case, held.pop("acknowledgement"), content)
    _remark(case, leaves)
    sender = _sender_of(case, held, content)
    mine = {name: raw for name, raw in (("content", content), ("sender", sender)) if raw is not None}
    for name, raw in mine.items():
        expect(held.get(name, raw) == raw, f"{name}: another one lies in the bundle")
    given = held | mine
    named = _digests(case) | received
    for name in [one for one in given if one.split("-")[0] in _FILES]:  # 3
        _compare(case, name, given[name], named)
        held.pop(name, None)
    used = _add_parties(case, held, sender)  # 4
    if not held.keys().isdisjoint({"keys/receipt.der", "keys/log.vkey"}):
        from audit.offered import compare_keys  # noqa: PLC0415 - loaded where such a paper is

        compare_keys(case, held)
    strangers = set(case.pinned.parties) - used
    expect(not strangers, "signature: none in here is by the key that you gave", VerificationError)  # 5
    expect(not held, f"bundle: nothing vouches for {', '.join(sorted(held))}")


def _remark(case: Case, leaves: Mapping[str, bytes]) -> None:
    """What one could take for proved, by the entries that are here."""
    if case.leaf and leaves and case.leaf not in leaves.values():
        case.not_proved.append("that the log holds the receipt: no proof of it was given")
    if leaves:
        case.not_proved.append("that the log holds nothing else about it: only an export shows that")
    kinds = {one["kind"] for one in case.records.values()}
    if "delivery.acknowledged" in kinds:
        case.not_proved.append("that anybody has read it: an acknowledgement is signed by a machine")
    elif "delivery.attempted" in kinds:
        case.not_proved.append("that the receiver has it: nothing in here is signed by the receiver")


def _add_entry(case: Case, held: dict[str, bytes], stem: str, heads: dict[str, str]) -> bytes:
    """An entry's evidence, or once it was erased its leaf, is in the log; returns the leaf.

    `heads`: by epoch the size of the one checkpoint that all of its entries lie under, since nothing in a
    bundle shows that a checkpoint of another size goes on from it.
    """
    proof, raw = held.pop(f"{stem}.tlog-proof"), held.pop(f"{stem}.json", None)
    leaf = held.pop(f"{stem}.leaf", b"") if raw is None else case.add_evidence(raw)[0]
    evidence = case.records.get(leaf)
    kind, hour = fit(_LEAF, leaf, f"bundle: {stem} holds nothing that could be in a log").groups()
    place = case.add_entry(proof, leaf)
    index, size, epoch = place.split(" ")[1], place.split(" ")[4], place.rpartition("/")[2]
    expect(stem == f"entries/{epoch}/{index}", f"bundle: {place} is called {stem}")
    is_one = heads.setdefault(epoch, size) == size
    expect(is_one, f"bundle: entries of epoch {epoch} lie under checkpoints of two sizes", VerificationError)
    if leaf == case.leaf:
        case.proved.append(f"the receipt is {place}")
    elif evidence is not None:
        case.proved.append(f"{place} says: {say(_SAID.get(evidence['kind']) or _rarer(evidence), evidence)}")
        case.word.append(f"that entry {index} is true, and its time: proved is that it was written down")
    else:
        case.proved.append(f"{place} is of the kind {kind.decode()} and of the hour {hour.decode()}")
    return leaf


def _rarer(evidence: Mapping[str, Any]) -> str:
    from audit.rarer import SAID  # noqa: PLC0415 - loaded where such an entry is

    return SAID.get(evidence["kind"], "noted {kind}")


def _digests(case: Case) -> dict[tuple[str, str], str]:
    """Which file has which SHA-256, by the evidence, and by which kind of it.

    All of it must be about one event of one partner, and say one thing of what can be but once.
    """
    told = case.records.values()
    refs = {str(one.get("ref")) for one in told if one.get("ref") or one["kind"].startswith(_OF_EVENT)}
    partners = {str(one["partner"]) for one in told if one.get("partner")}
    expect(len(refs) <= 1 >= len(partners), f"two events: {sorted(refs | partners)}", VerificationError)
    found, once = dict[tuple[str, str], str](), dict[str, bytes]()
    for leaf, one in case.records.items():
        what = _fill(_ONCE.get(one["kind"], ""), one)
        if what and (first := once.setdefault(what, leaf)) != leaf:
            from audit.repeated import compare_repeated  # noqa: PLC0415 - loaded where there are two

            compare_repeated(case, what, case.records[first], one)
        for _, name, form in (each for each in _NAMED if each[0] == one["kind"]):
            if digest := _fill(form, {"contract_sha256": "", **one}):
                found.setdefault((_fill(name, one), digest), one["kind"])
    terms = [name for name, _ in found if name.startswith("contract-")]
    expect(len(terms) == len({*terms}), f"{max(terms, default='')}: named for two texts", VerificationError)
    if "event.accepted" not in {one["kind"] for one in told}:
        from audit.attempted import add_terms  # noqa: PLC0415 - loaded where nobody accepted the event

        found |= add_terms(case)
    if "contract.changed" in found.values():
        from audit.timely import add_order  # noqa: PLC0415 - loaded where the receipt does not name the text

        found |= add_order(case)
    return found


def _compare(case: Case, name: str, raw: bytes, named: Mapping[tuple[str, str], str]) -> None:
    digest = hashlib.sha256(raw).hexdigest()
    kind = named.get((name, digest))
    text = f"{name}: your copy has SHA-256 {digest}, the evidence is for another {name}"
    expect(kind, text, VerificationError)
    what = (_MINE.get(str(kind)) if name == "content" else None) or f"{name} is what the evidence names"
    case.proved += [f"{what}, byte for byte (SHA-256 {digest})"] if kind != UNTIMELY else []


def _sender_of(case: Case, held: dict[str, bytes], content: bytes | None) -> bytes | None:
    """What the digest of the sender's signature is over; the content is put in where it was left out."""
    cut = next((one for one in held if _CUT.fullmatch(one)), None)
    if cut is None:
        return held.get("sender")
    place, raw = int(cut.removeprefix("sender-")), held.pop(cut)
    if content is None:
        case.word.append("that the sender signed it: give your copy of the content, which it signed")
        return None
    return (place + len(content)).to_bytes(4) + raw[:place] + content + raw[place:]


def _add_parties(case: Case, held: dict[str, bytes], sender: bytes | None) -> set[bytes]:
    """Signatures of others; returns those of the caller's keys that made one of them."""
    used: set[bytes] = set()
    sent = {"", *(str(one.get("content_sha256")) for one in case.records.values())}
    for one in case.records.values():
        if one["kind"] == "event.accepted" and sender is not None:
            said = read_sender(sender, _fill("{content[sha256]}", one))
            used |= _add_party(case, held, said, "the sender's")
            sender = None
        elif one["kind"] == "delivery.acknowledged":
            used |= _add_party(case, held, said := read_token(one), "the receiver's")
            text = f"that what was signed for was sent, SHA-256 {said.content}: no attempt in here says so"
            case.not_proved += [text] if said.content not in sent and len(case.records) > 1 else []
    return used


def _add_party(case: Case, held: dict[str, bytes], said: Said, whose: str) -> set[bytes]:
    """Proved by a key that the caller gave; of one that came along, the operator says whose it is."""
    offered = held.pop(f"keys/{said.name}.der", None)
    is_fit = offered is None or algorithm_of(offered, said) is not None
    expect(is_fit, f"{whose} signature: it is not by the key in the bundle", VerificationError)
    fits = {key: by for key in case.pinned.parties if (by := algorithm_of(key, said)) is not None}
    name = Sentence().format("{}", said.name)
    verb = "signed it" if whose == "the sender's" else "signed that it has the event"
    if fits:
        case.proved += [f"the holder of the {next(iter(fits.values()))} key that you gave {verb}, as {name}"]
        case.proved += [f"what was signed names the content: {said.content}"] if said.content else []
        case.not_proved.append("whose key it is that you gave: that was agreed elsewhere")
    else:
        by = "it fits the key in the bundle, which the operator says is its"
        by = by if offered else "no key is in here"
        case.word.append(f"that {whose} key {name} {verb}: {by}; give the key, as its owner gave it")
    if not said.content:
        case.not_proved.append(f"that {whose} signature names this very content")
    return set(fits)


def _fill(form: str, evidence: Mapping[str, Any]) -> str:
    with suppress(LookupError, TypeError, ValueError):
        return form.format_map(evidence)
    raise MalformedError(f"evidence: {evidence['kind']} lacks {form}")


def read_tar(raw: bytes) -> dict[str, bytes]:
    """The files of a bundle: a ustar archive with nothing in it but names, sizes and contents."""
    files: dict[str, bytes] = {}
    place = 0
    while len(raw) - place > 2 * _BLOCK:
        head = fit(_FILE, raw[place : place + _BLOCK], f"bundle: at byte {place} no file begins")
        start, size, name = place + _BLOCK, int(head[2], 8), head[1].decode()
        place = start + -(-size // _BLOCK) * _BLOCK
        is_summed = sum(head[0]) - sum(head[0][148:156]) + 256 == int(head[3], 8)
        is_filled = not raw[start + size : place].strip(b"\x00") and place <= len(raw)
        expect(is_summed and is_filled and name not in files, f"bundle: {name} is not as a bundle has it")
        files[name] = raw[start : start + size]
    expect(files and raw[place:] == bytes(2 * _BLOCK), "bundle: it does not end where its last file does")
    return files
