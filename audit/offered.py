"""The gateway's own keys, where they come with a bundle: compared with those that the caller pinned.

Source: docs/formats.md, section 6.
"""

from audit import papers
from audit.case import Case
from audit.failures import VerificationError
from audit.papers import expect
from audit.parties import encode_key


def compare_keys(case: Case, held: dict[str, bytes]) -> None:
    """The gateway's keys in a bundle prove nothing; of each log one must be a key that the caller pinned.

    During a rotation a checkpoint is signed by two, and the caller may know the one or the other.
    """
    known = {None, *(encode_key(key) for key in case.pinned.receipts.values())}
    is_known = held.pop("keys/receipt.der", None) in known
    expect(is_known, "bundle: another receipt key", VerificationError)
    text = held.pop("keys/log.vkey", b"").decode("utf-8", "replace")
    offered = [papers.read_log_key(line) for line in text.splitlines()]
    expect("".join(f"{key}\n" for key in offered) == text, "bundle: keys/log.vkey holds other than keys")
    pins = {(papers.log_of(one.name), one.public_key) for one in case.pinned.logs}
    pinned = [key for key in offered if (papers.log_of(key.name), key.public_key) in pins]
    for key in (one for one in offered if one not in pinned):
        is_beside = key.name in {one.name for one in pinned}
        expect(is_beside, f"bundle: another key of the log, {key}", VerificationError)
        case.not_proved.append(f"that {key} is a key of the log too: you have not pinned it")
