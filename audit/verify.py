"""Offline verification of what somebody holds: what is proved, what is only said, what is not proved.

Here is the way of a receipt and its proof, for who reads it before believing it. All other papers, and these
beside others, take `audit.whole`, which goes through here, too.

Source: docs/formats.md, sections 3 to 6; docs/verification.md has the whole argument.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from audit.case import Case
from audit.papers import Keys, expect, read_json

_NAMES: Final = {"receipt": "receipt.jws", "proof": "event.tlog-proof"}


class Verdict(NamedTuple):
    """What was found, in three lists of sentences. `word`: the operator's word only."""

    proved: tuple[str, ...]
    word: tuple[str, ...]
    not_proved: tuple[str, ...]


def verify_plain(files: Sequence[bytes], pinned: Keys) -> Verdict | None:
    """Verify a receipt, and its proof where it is there; None: these are other papers, or others besides.

    1. Each paper's kind, from its first bytes. 2. The receipt's signature. 3. Its place in the log.

    Raises:
        UnpinnedKeyError: Something is signed by a key that the caller has not pinned.
        VerificationError: Something does not fit; the text says what.
    """
    held, case = gather(map(open_plain, files)), Case(pinned)  # 1
    if "receipt.jws" not in held or held.keys() - _NAMES.values():
        return None
    add_receipt(case, held)
    return conclude(case)


def gather(opened: Iterable[Mapping[str, bytes]]) -> dict[str, bytes]:
    """Papers that belong together, by their names; of none are there two."""
    held: dict[str, bytes] = {}
    for name, part in (paper for one in opened for paper in one.items()):
        expect(held.setdefault(name, part) == part or not name, f"{name}: two different ones were given")
    return held


def add_receipt(case: Case, held: dict[str, bytes]) -> None:
    """Take the receipt, and its proof, out of what is held."""
    case.add_receipt(held.pop("receipt.jws"))  # 2
    if "event.tlog-proof" in held:
        case.proved.append(f"the receipt is {case.add_entry(held.pop('event.tlog-proof'), case.leaf)}")  # 3
    elif not any(one.startswith("entries/") for one in held):
        case.not_proved.append("that the log holds it: no proof was given")


def conclude(case: Case) -> Verdict:
    """Each sentence once."""
    return Verdict(*(tuple(dict.fromkeys(said)) for said in (case.proved, case.word, case.not_proved)))


def open_plain(raw: bytes) -> dict[str, bytes]:
    """The papers in one file, by the names that they have in a bundle; without a name, if it is another."""
    if raw.lstrip().startswith(b"{"):
        whole = read_json(raw, "bundle")
        held = {_NAMES[one]: str(whole[one]).encode("utf-8", "replace") for one in _NAMES if whole.get(one)}
        # Beside an anchor's proof a receipt is none that it was made for.
        return {"anchor.json": raw} if whole.get("format") == "gateway-anchor-proof/v1" else held or {"": raw}
    # Of the header of every receipt, and of no other: `ateway-receipt+json"}`.
    is_receipt = raw.lstrip().startswith(b"eyJ") and b"YXRld2F5LXJlY2VpcHQranNvbiJ9." in raw
    other = "event.tlog-proof" if raw.startswith(b"c2sp.org/tlog-proof") else ""
    return {"receipt.jws": raw.strip()} if is_receipt else {other: raw}


def format_verdict(verdict: Verdict) -> str:
    """The three lists for people."""
    lists = zip(("proved", "the operator's word only", "not proved"), "+~-", verdict, strict=True)
    told = [(title, *(f"  {mark} {printable(each)}" for each in said)) for title, mark, said in lists]
    return "".join(f"{line}\n" for one in told for line in one)


def format_failure(error: Exception) -> str:
    """That nothing is proved, and why."""
    return f"verification failed\n  ! {printable(str(error))}\n"


def printable(sentence: str, blank: str = "\u115f\u1160\u2800\u3164\uffa0") -> str:
    """One line: a terminal must not obey what comes from outside, and nothing in it begins another line.

    `blank`: what shows nothing; with enough of it, as with blanks, what follows looks like a line of its own.
    """
    return " ".join("".join(c if c.isprintable() and c not in blank else "?" for c in sentence).split())
