"""A log that begins anew: it is followed where its first entry names the end that is known, and nowhere else.

After a restore from a backup, or after a key was stolen, the operator opens the log's next epoch; its first
entry says where the one before ended. Where that end is short of what is known, entries are lost: that is an
alarm, and once somebody has acknowledged it, the new epoch is followed and one's own receipts have to be
found in it.

Source: docs/formats.md section 3, `epoch.opened`.
"""

from audit.alarm import AlarmError, Suspicion, proven, stop
from audit.checkpoint import read_checkpoint, split_origin
from audit.errors import MalformedError
from audit.log_source import LogMissingError, Source, TileNodes
from audit.merkle import hash_leaf
from audit.monitor import take_note
from audit.monitor_earlier import read_opening, root_of
from audit.monitor_look import Look, Looked
from audit.monitor_state import Kept, Reading, State
from audit.tree import root_at


def follow(one: Look) -> None:
    """Go over to the next epochs of the log, one after the other, where there are any.

    An epoch that is over is read to its end first, over several looks if need be.

    Raises:
        AlarmError: the next one does not link to what is known.
        MalformedError, AnswerUnfitError, LogAwayError, LogMissingError: it could not be found out.
    """
    state = one.state
    last: Kept | Reading | None = state.kept
    while (successor := _next(state, one.source)) is not None:
        signed, left, opening = None, 0, b""
        if state.kept is not None or state.reading is not None or state.opening:
            # What it was followed by was not signed; what follows it is judged by what is.
            signed, left = _take_end(one)
        one.is_ending = state.reading is not None and state.reading is not signed
        if one.is_ending:
            return
        if signed is not None:
            if signed.checkpoint.size:
                opening = _verify_link(one, signed, successor, left)
            last = signed
        elif state.opening:
            opening = _verify_passed(one, last, successor)
        state.origin, state.kept, state.past, state.opening = successor, None, {}, opening
        state.reading = None
        one.vouched_at = 0
        one.found.news.append(f"the log goes on as {successor}")


def _next(state: State, source: Source) -> str | None:
    log, epoch = split_origin(state.origin)
    later = [
        origin
        for origin in source.origins()
        if origin.rpartition("/")[0] == log and split_origin(origin)[1] > epoch
    ]
    return min(later, key=lambda origin: split_origin(origin)[1], default=None)


def _take_end(one: Look) -> tuple[Kept | Reading | None, int]:
    """Take what the old epoch has come to.

    Returns the most of it that is known to be signed, and how many entries are still shown, as it says.
    What was being read, and is not shown any more, stays in `State.reading` until the next epoch is followed.
    """
    state, seen, left = one.state, one.state.reading, 0
    try:
        take_note(one, one.source.checkpoint(state.origin), must_be_fresh=False)
    except LogMissingError:
        # As after a database was wiped: whatever the successor names, nothing of it can be read any more.
        pass
    except AlarmError as error:
        if error.alarm.kind is not Suspicion.ROLLBACK:
            raise
        left = read_checkpoint(error.alarm.papers["shown"])[0].size
    else:
        return state.kept, 0 if state.kept is None else state.kept.checkpoint.size
    state.reading = seen
    return seen or state.kept, left


def _verify_link(one: Look, signed: Kept | Reading, successor: str, left: int) -> bytes:
    """Compare the end that the successor names with what is known. `left`: entries that are still shown.

    Returns the hash of the leaf that says so, which is to be the first one of what the successor signs.
    """
    state, known = one.state, signed.checkpoint
    subject = f"{successor} {known.size}"
    evidence, leaf, previous = read_opening(one.source, successor, subject)
    if previous is None or previous.get("origin") != known.origin:
        raise stop(
            Suspicion.EPOCH,
            subject,
            f"{successor}: its first entry does not name {known.origin}, of which {known.size} entries were "
            "signed",
            known=signed.note,
            opening=evidence,
        )
    size, root = int(previous["size"]), root_of(previous)
    # Of entries that are not shown any more nothing can be compared, and it is told that they are lost.
    others = [] if state.kept is None or state.kept is signed or size > left else [state.kept]
    for each in (signed, *others):
        if 0 < each.checkpoint.size <= size and not _is_at(each, one.source, size, root):
            raise stop(
                Suspicion.EPOCH,
                subject,
                f"{successor}: the end that its first entry names does not continue the "
                f"{each.checkpoint.size} entries that were signed before",
                known=each.note,
                opening=evidence,
            )
    rest = min(size, left)
    if rest < known.size:
        if not state.is_acknowledged(Suspicion.EPOCH, subject):
            raise _restored(state, signed, successor, rest, evidence)
        _lose(state, rest, one.found)
    return hash_leaf(leaf)


def _verify_passed(one: Look, last: Kept | Reading | None, successor: str) -> bytes:
    """Compare what the successor says with an epoch that was followed, and of which nothing was ever signed.

    It names that epoch, or passes it over and names the end that is known. Returns as `_verify_link`.
    """
    state = one.state
    evidence, leaf, previous = read_opening(one.source, successor, successor)
    named = None if previous is None else previous.get("origin")
    if last is not None and last.checkpoint.size and named == last.checkpoint.origin:
        return _verify_link(one, last, successor, last.checkpoint.size)
    is_between = last is None and named is not None and _is_before(named, successor)
    if named != state.origin and not is_between:
        text = f"{successor}: its first entry names neither {state.origin} nor the end that was known before"
        raise stop(Suspicion.EPOCH, successor, text, opening=evidence)
    return hash_leaf(leaf)


def _is_before(origin: str, successor: str) -> bool:
    """Whether it is an earlier epoch of the same log."""
    (log, epoch), (name, later) = split_origin(origin), split_origin(successor)
    return log == name and 1 <= epoch < later


def _restored(state: State, signed: Kept | Reading, successor: str, rest: int, evidence: bytes) -> AlarmError:
    known = signed.checkpoint
    found = {ref: own.index for ref, own in state.receipts.items() if own.origin == known.origin}
    if isinstance(signed, Reading):
        found |= signed.found
    lost = sorted(ref for ref, index in found.items() if index is not None and index >= rest)
    told = f": {', '.join(lost)}" if lost else ""
    return proven(
        Suspicion.EPOCH,
        f"{successor} {known.size}",
        f"{successor}: of {known.origin} {rest} entries are left, and {known.size} were signed: "
        f"{known.size - rest} are lost, as after a restore from an older backup; {len(lost)} of your "
        f"receipts were among them{told}",
        known=signed.note,
        opening=evidence,
    )


def _is_at(signed: Kept | Reading, source: Source, size: int, root: bytes) -> bool:
    """Whether the log with `size` entries and that root continues what is known, by its tiles."""
    known = signed.checkpoint
    if size == known.size:
        return root == known.root
    nodes = TileNodes(source, known.origin, size)
    try:
        return root_at(size, nodes) == root and root_at(known.size, nodes) == known.root
    except (MalformedError, LogMissingError):
        return False


def _lose(state: State, size: int, found: Looked) -> None:
    """Receipts whose entries were lost must be found in the new epoch."""
    for ref, own in state.receipts.items():
        if own.index is not None and own.origin == state.origin and own.index >= size:
            own.origin, own.index = "", None
            found.news.append(f"{ref}: its entry was lost; it is looked for in the new epoch")
