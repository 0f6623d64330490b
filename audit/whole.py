"""Verification of papers of every kind that belong together.

The way of a receipt and its proof is `audit.verify`; what is rarer than a bundle of evidence stands in
modules of its own, which are loaded where such a paper is. What people hand in goes through `audit.judging`.

Source: docs/formats.md, sections 3 to 6; docs/verification.md has the whole argument.
"""

from collections.abc import Sequence

from audit.bundled import add_bundled, read_tar
from audit.case import Case
from audit.papers import Keys, expect
from audit.verify import Verdict, add_receipt, conclude, gather, open_plain


def verify_files(files: Sequence[bytes], pinned: Keys, *, content: bytes | None = None) -> Verdict:
    """Verify papers that belong together; see `examine`."""
    return examine(files, Case(pinned), content=content)


def examine(files: Sequence[bytes], case: Case, *, content: bytes | None = None) -> Verdict:
    """Verify papers that belong together, for who wants to know from `case` what the sentences rest on.

    `content`: the caller's own copy of what was sent.

    1. The receipt, and its place in the log. 2. What else there is: checkpoints, growth, the other papers of
    a bundle, the content.

    Raises:
        UnpinnedKeyError: Something is signed by a key that the caller has not pinned.
        InconsistentError: The papers show two histories of one log.
        VerificationError: Something does not fit; the text says what.
    """
    held = gather(map(open_paper, files))
    if "receipt.jws" in held:
        add_receipt(case, held)  # 1
    if held or content is not None or len(case.shown) > 1:
        add_bundled(case, held, content)  # 2
    expect(case.proved, "expected a receipt, its proof, a checkpoint, or a bundle")
    return conclude(case)


def open_paper(raw: bytes) -> dict[str, bytes]:
    """The papers in one file, by the names that they have in a bundle."""
    if is_tar(raw):
        return read_tar(raw)
    if raw.startswith(b"old "):
        return {"consistency": raw}
    if "" not in (held := open_plain(raw)):
        return held
    if raw.lstrip().startswith(b"{"):
        return {"acknowledgement": raw}
    if is_checkpoint(raw):
        return {"checkpoint": raw}
    is_other = b"." in raw and b"YXRld2F5LXJlY2VpcHQranNvbiJ9." not in raw
    return {"acknowledgement" if is_other else "receipt.jws": raw.strip()}


def is_tar(raw: bytes) -> bool:
    """Whether it is an archive; what people write may have the same letters there, and no zeros before."""
    return raw[257:262] == b"ustar" and b"\x00" in raw[:257]


def is_of_event(raw: bytes) -> bool:
    """Whether a paper says something of one event, so that there may be a content to compare."""
    return not is_checkpoint(raw) and not raw.startswith(b"old ")


def is_checkpoint(raw: bytes) -> bool:
    """Whether it is a checkpoint that stands alone."""
    is_other = is_tar(raw) or raw.startswith((b"old ", b"c2sp.org/tlog-proof"))
    return not is_other and not raw.lstrip().startswith(b"{") and b"\n\n\xe2\x80\x94 " in raw
