"""An honest log never alarms, however it grows and is looked at; any lie about an entry does."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from audit.alarm import Suspicion
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import MalformedError
from audit.freshness import freshness_key, make_line
from audit.log_source import LogMissingError
from audit.merkle import hash_leaf
from audit.monitor import look
from audit.monitor_epoch import follow
from audit.monitor_look import Look, Looked, Terms
from audit.monitor_state import Own, State, format_state, parse_state
from audit.tile import Tile, encode_bundle
from audit.tree import Head
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, SeedSigner

FRESHNESS = SeedSigner(b"\x31" * 32)
KEY = freshness_key("gw.example/freshness", FRESHNESS.public_key)
NOW = 1_800_000_000_000


@dataclass
class Memory:
    """A source over leaves in memory. `keeps`: whether partial tiles stay once there are larger ones."""

    leaves: list[bytes] = field(default_factory=list)
    signed: list[bytes] | None = None
    keeps: bool = True

    def checkpoint(self, origin: str) -> bytes:
        head = Head(origin).append(self.leaves if self.signed is None else self.signed)[0]
        note = sign_checkpoint(Checkpoint(origin, head.size, head.root()), LOG_SIGNER)
        text = note.decode().rpartition("\n\n")[0] + "\n"
        return note + make_line(text, KEY.name, FRESHNESS, NOW // 1_000).encode()

    def entries(self, _: str, tile: Tile) -> bytes:
        return encode_bundle(self._cut(self.leaves, tile))

    def hashes(self, origin: str, tile: Tile) -> bytes:
        _, nodes = Head(origin).append(self.leaves)
        level = 8 * (tile.level or 0)
        row = [one.hash for one in sorted(nodes, key=lambda one: one.index) if one.level == level]
        return b"".join(self._cut(row, tile))

    def _cut(self, row: Sequence[bytes], tile: Tile) -> Sequence[bytes]:
        is_newest = len(row) - tile.first == tile.width
        if len(row) < tile.first + tile.width or not (self.keeps or is_newest or tile.width == 256):
            raise LogMissingError("no such tile")
        return row[tile.first : tile.first + tile.width]

    def evidence(self, origin: str, index: int) -> bytes:
        raise LogMissingError(f"{origin} {index}")

    def proof(self, ref: str) -> bytes:
        raise LogMissingError(ref)

    def origins(self) -> Sequence[str]:
        return [ORIGIN]

    def log_keys(self) -> Sequence[bytes]:
        return [LOG_SIGNER.public_key]

    def compromised_keys(self) -> Sequence[bytes]:
        return []

    def freshness_keys(self) -> Sequence[str]:
        return [str(KEY)]


def begun() -> State:
    return State("https://gw.example", "acme", ORIGIN, (LOG_SIGNER.public_key,))


def looked(state: State, source: Memory, terms: Terms = Terms()) -> tuple[State, Looked]:  # noqa: B008 - frozen
    """One look by a monitor that was started anew."""
    again = parse_state(format_state(state))
    one = Look(again, source, terms, NOW)
    follow(one)
    return again, look(one)


def leaf(number: int) -> bytes:
    return b"leaf %d" % number


steps = st.lists(
    st.one_of(st.integers(0, 5), st.integers(0, 300), st.sampled_from([255, 256, 257])), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(steps, st.booleans())
def test_an_honest_log_never_alarms(growths: list[int], keeps: bool) -> None:  # noqa: FBT001 - as given
    source, state = Memory(keeps=keeps), begun()
    for count in growths:
        size = len(source.leaves)
        source.leaves += [leaf(number) for number in range(size, size + count)]
        if count:
            mine = size + count // 2
            state.receipts[f"evt_{mine}"] = Own("t", 1, hash_leaf(leaf(mine)))
        state, found = looked(state, source)
        assert found.alarms == []
        assert found.entries == count
        assert state.kept is not None
        assert state.kept.checkpoint.size == len(source.leaves)
    for ref, own in state.receipts.items():
        assert ref == f"evt_{own.index}"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=4), st.integers(1, 600), st.booleans())
def test_a_log_that_is_read_in_parts_is_the_same_one(growths: list[int], most: int, keeps: bool) -> None:  # noqa: FBT001 - as given
    source, whole, parts = Memory(keeps=keeps), begun(), begun()
    for count in (*growths, 0, 0, 0, 0):
        size = len(source.leaves)
        source.leaves += [leaf(number) for number in range(size, size + count)]
        for state in (whole, parts):
            if count:
                mine = size + count // 2
                state.receipts[f"evt_{mine}"] = Own("t", NOW, hash_leaf(leaf(mine)))
        whole, _ = looked(whole, source)
        parts, found = looked(parts, source, Terms(most_entries=most))
        assert found.alarms == []
        assert found.entries <= max(most, 256) + 256
    while parts.reading is not None:
        parts, found = looked(parts, source, Terms(most_entries=most))
        assert found.alarms == []
    assert (parts.kept, parts.receipts) == (whole.kept, whole.receipts)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 600), st.integers(1, 300), st.data())
def test_an_entry_that_is_another_is_always_found(known: int, more: int, data: st.DataObject) -> None:
    source, state = Memory([leaf(number) for number in range(known)]), begun()
    state, found = looked(state, source)
    assert found.alarms == []
    honest = [leaf(number) for number in range(known + more)]
    # Of what was read before, only what is in the last bundle is handed out again.
    first = known - known % 256
    place = data.draw(st.integers(first, known + more - 1))
    source.leaves = [*honest[:place], b"another", *honest[place + 1 :]]
    source.signed = honest
    _, found = looked(state, source)
    assert [one.kind for one in found.alarms] == [Suspicion.ENTRIES]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600), st.integers(0, 300), st.data())
def test_a_history_that_was_rewritten_is_always_found_and_nothing_of_it_is_kept(
    known: int, more: int, data: st.DataObject
) -> None:
    source, state = Memory([leaf(number) for number in range(known)]), begun()
    state, _ = looked(state, source)
    place = data.draw(st.integers(0, known - 1))
    honest = [leaf(number) for number in range(known + more)]
    source.leaves = [*honest[:place], b"another", *honest[place + 1 :]]
    after, found = looked(state, source)
    assert [one.kind for one in found.alarms] == [Suspicion.FORK]
    assert found.alarms[0].is_provable
    assert after.kept == state.kept


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_what_is_no_state_is_refused_and_raises_nothing_else(raw: bytes) -> None:
    try:
        parse_state(raw)
    except MalformedError:
        return
    raise AssertionError("a state of chance")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_state_that_was_tampered_with_is_refused_or_means_what_it_says(data: st.DataObject) -> None:
    state, _ = looked(begun(), Memory([leaf(number) for number in range(40)]))
    raw = bytearray(format_state(state))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = parse_state(bytes(raw))
    except MalformedError:
        return
    assert read.kept is None or read.kept.head.root() == read.kept.checkpoint.root
