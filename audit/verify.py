"""Offline verification of what somebody holds: what is proved, what is only said, what is not proved.

Papers are recognised by their first bytes. What is rarer than receipts and their proofs stands in modules of
its own, which are loaded where such a paper is: who reads the way of a receipt reads no more than that.

Source: docs/formats.md, sections 3 to 6; docs/verification.md has the whole argument.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from audit.case import Case
from audit.papers import Keys, expect, read_json

_NAMES: Final = {"receipt": "receipt.jws", "proof": "event.tlog-proof"}


class Verdict(NamedTuple):
    """What was found, in three lists of sentences. `word`: the operator's word only."""

    proved: tuple[str, ...]
    word: tuple[str, ...]
    not_proved: tuple[str, ...]


def verify_files(files: Sequence[bytes], pinned: Keys, *, content: bytes | None = None) -> Verdict:
    """Verify papers that belong together; see `examine`."""
    return examine(files, Case(pinned), content=content)


def examine(files: Sequence[bytes], case: Case, *, content: bytes | None = None) -> Verdict:
    """Verify papers that belong together, for who wants to know from `case` what the sentences rest on.

    `content`: the caller's own copy of what was sent.

    1. Each paper's kind, from its first bytes. 2. The receipt's signature. 3. Its place in the log. 4. A
    checkpoint alone. 5. What else there is: growth, the other papers of a bundle, the content.

    Raises:
        UnpinnedKeyError: Something is signed by a key that the caller has not pinned.
        InconsistentError: The papers show two histories of one log.
        VerificationError: Something does not fit; the text says what.
    """
    held: dict[str, bytes] = {}
    for name, part in (paper for raw in files for paper in open_paper(raw).items()):  # 1
        expect(held.setdefault(name, part) == part, f"{name}: two different ones were given")
    if "receipt.jws" in held:
        case.add_receipt(held.pop("receipt.jws"))  # 2
    if case.records and "event.tlog-proof" in held:
        case.proved.append(f"the receipt is {case.add_entry(held.pop('event.tlog-proof'), case.leaf)}")  # 3
    elif case.records and not any(one.startswith("entries/") for one in held):
        case.not_proved.append("that the log holds it: no proof was given")
    if held.keys() == {"checkpoint"} and not case.records:
        case.add_checkpoint(held.pop("checkpoint"))  # 4
    if held or content is not None:
        from audit.bundled import add_bundled  # noqa: PLC0415 - loaded where such a paper is

        add_bundled(case, held, content)  # 5
    expect(case.proved, "expected a receipt, its proof, a checkpoint, or a bundle")
    return Verdict(*(tuple(dict.fromkeys(said)) for said in (case.proved, case.word, case.not_proved)))


def open_paper(raw: bytes) -> dict[str, bytes]:
    """The papers in one file, by the names that they have in a bundle."""
    if raw[257:262] == b"ustar":
        from audit.bundled import read_tar  # noqa: PLC0415 - loaded where such a paper is

        return read_tar(raw)
    if raw.lstrip().startswith(b"{"):
        whole = read_json(raw, "bundle")
        held = {_NAMES[one]: str(whole[one]).encode("utf-8", "replace") for one in _NAMES if whole.get(one)}
        return held or {"acknowledgement": raw}
    if raw.startswith((b"c2sp.org/tlog-proof", b"old ")):
        return {"consistency" if raw.startswith(b"old ") else "event.tlog-proof": raw}
    # Of the header of every receipt, and of no other: `ateway-receipt+json"}`.
    is_other = b"." in raw and b"YXRld2F5LXJlY2VpcHQranNvbiJ9." not in raw
    name = "acknowledgement" if is_other else "receipt.jws"
    return {"checkpoint": raw} if b"\n\n\xe2\x80\x94 " in raw else {name: raw.strip()}


def format_verdict(verdict: Verdict) -> str:
    """The three lists for people."""
    lists = zip(("proved", "the operator's word only", "not proved"), "+~-", verdict, strict=True)
    lines = [one for title, mark, said in lists for one in (title, *(f"  {mark} {each}" for each in said))]
    return printable("\n".join(lines) + "\n")


def format_failure(error: Exception) -> str:
    """That nothing is proved, and why."""
    return printable(f"verification failed\n  ! {error}\n")


def printable(text: str) -> str:
    """Names come from outside; a terminal must not obey them."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
