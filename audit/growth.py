"""That a log only grew: from a checkpoint that somebody kept to a newer one.

Source: docs/formats.md, section 6; RFC 9162, section 2.1.4.
"""

from audit import papers
from audit.case import Case
from audit.contradiction import InconsistentError
from audit.merkle import EMPTY_ROOT, verify_consistency
from audit.papers import expect


def add_heads(case: Case, held: dict[str, bytes]) -> None:
    """A checkpoint that somebody kept, and that the log only grew from it."""
    if "consistency" in held:
        add_growth(case, held.pop("checkpoint", b""), held.pop("consistency"))
    else:
        case.add_checkpoint(held.pop("checkpoint"))


def add_growth(case: Case, old: bytes, proof: bytes) -> None:
    """The older checkpoint must be a prefix of the newer, which stands in the proof."""
    old_size, path, note = papers.read_path(proof, "old ", "consistency proof")
    origin, size, root = case.add_checkpoint(old)
    new_origin, new_size, new_root = case.add_checkpoint(note)
    is_one = origin == new_origin and size == old_size
    text = f"consistency: {origin} with {size} entries is not {new_origin}, whose proof starts at {old_size}"
    expect(is_one, text, InconsistentError)
    if size == 0:
        expect(
            root == EMPTY_ROOT and not path, "consistency: an empty log has the empty root", InconsistentError
        )
    else:
        verify_consistency(size, root, new_size, new_root, path)
    case.proved.append(f"{origin} only grew from {size} to {new_size} entries")
    case.not_proved.append("what the entries between the two checkpoints say")
