"""Evidence that is erased: leaf and index stay, every proof of before holds, and the log says so."""

from collections.abc import Callable

import pytest
from sqlmodel import Session

from audit import erasure, log
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.entry import Entry
from audit.erasure import Gone
from audit.evidence import Evidence, Kind, make_evidence, parse_evidence
from audit.merkle import hash_leaf, verify_consistency, verify_inclusion
from audit.ref import format_ref
from audit.search import HistoryFilter, find, timeline
from tests.unit.audit.builders import AT, LOG, LOG_SIGNER, ORIGIN, append, evidence, load_vectors

OTHER = "gw.example/log/b8z"
BY = {"role": "operator", "credential": "crd_1"}


def ref(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def grown(session: Session) -> Session:
    """A log of ten events, the fourth of which was attempted to be delivered and looked at."""
    log.open_log(session, ORIGIN)
    batch = [evidence(number) for number in range(10)]
    batch.append(evidence(3, kind=Kind.ATTEMPTED, at=AT + 20))
    batch.append(evidence(3, kind=Kind.CONTENT_READ, at=AT + 21))
    head = append(session, ORIGIN, batch)
    log.publish_all(
        session, {ORIGIN: sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), LOG_SIGNER)}
    )
    session.commit()
    return session


def take(session: Session, number: int) -> list[erasure.Standing]:
    found = erasure.standing(session, [ref(number)])
    erasure.erase(session, found, at=AT + 100, erasure="ers_1", basis="case 17")
    session.commit()
    return found


def papers(session: Session) -> list[bytes]:
    """All that the world was shown of the log."""
    proofs = [log.proof_text(session, ORIGIN, index) for index in range(12)]
    rest = [log.tile(session, ORIGIN, 0, 0, 12), log.entries(session, ORIGIN, 0, 12)]
    return [*proofs, *rest, log.consistency_text(session, ORIGIN, 5)]


def test_the_evidence_goes_and_every_proof_of_before_holds(grown: Session) -> None:
    before, kept = papers(grown), log.entry(grown, ORIGIN, 3)
    gone = take(grown, 3)
    assert [(one.index, one.kind) for one in gone] == [(3, Kind.ACCEPTED), (10, Kind.ATTEMPTED)]
    assert papers(grown) == before
    after = log.entry(grown, ORIGIN, 3)
    assert (after.raw, after.event_id, after.source) == (None, None, None)
    assert (after.leaf, after.ref, after.kind, after.at) == (kept.leaf, kept.ref, kept.kind, kept.at)
    assert after.evidence() is None
    assert log.entry(grown, ORIGIN, 11).raw is not None, "who has looked at it stays told"
    root = log.state(grown, ORIGIN).head.root()
    verify_inclusion(hash_leaf(after.leaf), 3, 12, log.prove(grown, ORIGIN, 3, 12), root)


def test_a_log_that_was_erased_in_grows_on_and_only_grew(grown: Session) -> None:
    old = log.state(grown, ORIGIN).head
    take(grown, 3)
    new = append(grown, ORIGIN, [evidence(30)])
    verify_consistency(old.size, old.root(), new.size, new.root(), log.consistency(grown, ORIGIN, 12, 13))


def test_an_erased_event_is_found_by_its_ref_alone(grown: Session) -> None:
    take(grown, 3)
    assert find(grown, LOG, HistoryFilter(id="A-3")).rows == ()
    [row] = find(grown, LOG, HistoryFilter(ref=ref(3))).rows
    assert (row.first.index, row.first.event_id) == (3, None)
    assert len(find(grown, LOG).rows) == 10


def test_why_it_is_gone_is_told_of_each_entry(grown: Session) -> None:
    take(grown, 3)
    entries = timeline(grown, LOG, ref(3))
    why = Gone(3, 4, AT + 100, "ers_1", "case 17")
    assert erasure.reasons(grown, entries) == {
        (ORIGIN, 3): why,
        (ORIGIN, 10): Gone(10, 11, AT + 100, "ers_1", "case 17"),
    }
    assert erasure.reasons(grown, timeline(grown, LOG, ref(4))) == {}
    assert [(one.first, one.end) for one in erasure.gone(grown, ORIGIN)] == [(3, 4), (10, 11)]
    assert [one.first for one in erasure.gone(grown, ORIGIN, first=4)] == [10]


def test_what_somebody_else_took_away_is_not_explained(grown: Session) -> None:
    take(grown, 3)
    stray = Entry(ORIGIN, 5, b"l", None, Kind.ACCEPTED, AT, ref(5), None, None, None, None, None, None, None)
    assert erasure.reasons(grown, [stray]) == {}


def test_what_is_erased_twice_is_found_once(grown: Session) -> None:
    assert len(take(grown, 3)) == 2
    assert take(grown, 3) == []
    assert erasure.known(grown, LOG, [ref(3), ref(77)]) == {ref(3)}
    assert erasure.known(grown, OTHER, [ref(3)]) == frozenset()


def test_evidence_on_its_way_is_found_before_its_entry_is(grown: Session) -> None:
    late = evidence(4, kind=Kind.ATTEMPTED)
    log.submit(grown, late, id=b"a" * 16)
    log.submit(grown, evidence(5, kind=Kind.CONTENT_READ), id=b"b" * 16)
    log.submit(grown, evidence(6, kind=Kind.ATTEMPTED, log=OTHER), id=b"c" * 16)
    refs = [ref(number) for number in (4, 5, 6)]
    assert erasure.waiting(grown, [LOG], refs) == {ref(4)}
    assert erasure.waiting(grown, [LOG, OTHER], refs) == {ref(4), ref(6)}


def test_where_too_much_is_on_its_way_nothing_is_known(
    grown: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "MOST_PENDING", 1)
    log.submit(grown, evidence(4), id=b"a" * 16)
    assert erasure.waiting(grown, [LOG], [ref(9)]) == {ref(9)}


def test_what_is_said_after_the_erasure_stays(grown: Session) -> None:
    take(grown, 3)
    later = evidence(3, kind=Kind.CANCELLED, at=AT + 101, source="", id="")
    append(grown, ORIGIN, [later])
    assert erasure.standing(grown, [ref(3)]) == []


def test_entries_of_a_time_are_walked_in_order_and_without_a_gap(grown: Session) -> None:
    refused = evidence(40, kind=Kind.REFUSED, at=AT + 5, ref=None, id=None, source=None)
    append(grown, ORIGIN, [refused])
    since, until = AT + 2, AT + 9
    assert erasure.count_spots(grown, LOG, since, until) == 8
    found: list[tuple[bytes | None, erasure.Place]] = []
    while True:
        some = erasure.spots(grown, LOG, since, until, after=found[-1][1] if found else None, limit=3)
        found += some
        if len(some) < 3:
            break
    assert [one for one, _ in found] == [ref(2), ref(3), ref(4), ref(5), None, ref(6), ref(7), ref(8)]
    assert erasure.standing_at(grown, LOG, [(1, 12), (1, 11)])[0].ref is None


def test_what_a_record_says_to_be_gone() -> None:
    cases = {one["kind"]: one["evidence"] for one in load_vectors("formats.json")["evidence"]["kinds"]}
    assert erasure.declared(parse_evidence(cases["evidence.erased"].encode())) == (ORIGIN, ((12, 13),))
    assert erasure.declared(parse_evidence(cases["evidence.expired"].encode())) == (ORIGIN, ((0, 4), (6, 7)))
    assert erasure.declared(parse_evidence(cases["event.accepted"].encode())) is None
    earlier = load_vectors("formats.json")["evidence"]["earlier"]
    erased = next(one["evidence"] for one in earlier if one["kind"] == "evidence.erased")
    assert erasure.declared(parse_evidence(erased.encode())) is None, "it names no epoch"


@pytest.mark.parametrize(
    "ranges",
    [
        [],
        [(4, 4)],
        [(0, 4), (4, 5)],
        [(5, 6), (0, 1)],
        [(number * 2, number * 2 + 1) for number in range(101)],
    ],
)
def test_ranges_that_say_a_thing_in_two_ways_are_no_evidence(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(Exception, match="ranges must be"):
        expired(ranges)


def expired(ranges: list[tuple[int, int]]) -> Evidence:
    members = {
        "partner": "acme",
        "origin": ORIGIN,
        "ranges": [{"from": first, "to": end} for first, end in ranges],
        "entries": 1,
        "before": 1,
        "keep_days": 1,
        "by": BY,
    }
    return make_evidence(Kind.EXPIRED, members, iss="https://gw.example", log=LOG, at=AT, salt=bytes(32))


def test_the_largest_records_of_holds_and_expiries_fit() -> None:
    assert (
        len(expired([(10**17 + number * 2, 10**17 + number * 2 + 1) for number in range(100)]).raw) < 16_384
    )
    refs = sorted(format_ref(ref(number)) for number in range(200))
    scope = {"refs": refs, "since": None, "until": None}
    members = {"partner": "p" * 63, "hold": "hld_" + "a" * 26, "scope": scope, "basis": "ä" * 500, "by": BY}
    raw = make_evidence(Kind.HOLD_SET, members, iss="https://gw.example", log=LOG, at=AT, salt=bytes(32)).raw
    assert len(raw) < 16_384


def test_erasing_asks_by_keys_and_reads_no_log_through(
    grown: Session, plan: Callable[[str], list[str]]
) -> None:
    take(grown, 3)
    erasure.reasons(grown, timeline(grown, LOG, ref(3)))
    erasure.spots(grown, LOG, AT, AT + 5, after=(AT, 1, 0), limit=3)
    erasure.count_spots(grown, LOG, AT, AT + 5)
    for fragment in ("audit_entry.ref IN", "audit_erasure.first <=", "audit_entry e WHERE", "count("):
        steps = plan(fragment)
        # `p`: what was found.
        scans = [one for one in steps if one.startswith("SCAN") and one != "SCAN p"]
        assert scans + [one for one in steps if "Seq Scan" in one] == []


def test_entries_without_evidence_that_nothing_accounts_for_are_found(grown: Session) -> None:
    take(grown, 3)
    take(grown, 5)
    assert erasure.unexplained(grown, ORIGIN, []) == []
    assert erasure.unexplained(grown, ORIGIN, [3, 5, 10]) == []
    assert erasure.unexplained(grown, ORIGIN, [2, 3, 4, 5, 9, 10, 11]) == [2, 4, 9, 11]


def test_why_entries_are_bare_goes_with_them_into_a_new_epoch(grown: Session) -> None:
    take(grown, 3)
    take(grown, 5)
    erasure.shift(grown, LOG, (1, 5), (2, 1))
    assert [(one.first, one.end) for one in erasure.gone(grown, ORIGIN)] == [(3, 4)]
    assert [(one.first, one.end) for one in erasure.gone(grown, f"{LOG}/2")] == [(1, 2), (6, 7)]
