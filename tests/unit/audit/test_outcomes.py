"""What became of deliveries, by entries and by evidence that is on its way."""

from sqlmodel import Session

from audit import log
from audit.evidence import Evidence, Kind
from audit.outcomes import census, fates, newest, tell
from tests.unit.audit.builders import AT, LOG, ORIGIN, append, evidence

TOP = (1 << 31, 1 << 62)
DELIVERED = [(Kind.ATTEMPTED, "delivered")]


def attempted(number: int, outcome: str, at: int) -> Evidence:
    return evidence(number, kind=Kind.ATTEMPTED, outcome=outcome, at=AT + at, endpoint="ep_1")


def fill(session: Session, *made: Evidence) -> None:
    log.open_log(session, ORIGIN)
    append(session, ORIGIN, list(made))


def test_entries_are_found_newest_first_through_windows_of_any_size(session: Session) -> None:
    made = [attempted(number, "delivered" if number % 3 == 0 else "retry", number) for number in range(1, 20)]
    fill(session, *made)
    wanted = [each.ref for each in reversed(made) if each.text("outcome") == "delivered"]
    for most in (1, 2, 5, 100):
        found: list[bytes | None] = []
        before: tuple[int, int] | None = TOP
        while before is not None:
            some, before = newest(session, LOG, DELIVERED, before=before, most=most)
            found += [one.ref for one in some]
        assert found == wanted


def test_a_fate_is_told_by_entries_and_by_what_is_on_its_way(session: Session) -> None:
    first, second = attempted(1, "retry", 1), attempted(1, "delivered", 2)
    fill(session, first)
    log.submit(session, second, id=b"1" * 16)
    ref = first.ref or b""
    known = fates(session, LOG, [ref])
    assert known is not None
    fate = known["ep_1", ref]
    assert (fate.last, fate.attempts, fate.was_delivered, fate.was_parked) == ("delivered", 2, True, False)
    assert [(one.evidence.text("outcome"), one.log is None) for one in tell(session, LOG, "ep_1", ref)] == [
        ("retry", False),
        ("delivered", True),
    ]
    assert tell(session, LOG, "ep_2", ref) == ()
    assert fates(session, "another", [ref]) == {}


def test_words_of_one_millisecond_are_all_told(session: Session) -> None:
    fill(session, attempted(1, "retry", 1), attempted(1, "delivered", 1))
    counted = census(session, LOG, most=10)
    assert counted is not None
    (fate,) = counted.fates.values()
    assert (fate.words, counted.is_whole) == (frozenset({"retry", "delivered"}), True)


def test_a_census_of_the_newest_entries_says_that_it_is_a_part(session: Session) -> None:
    fill(session, *(attempted(number, "delivered", number) for number in range(1, 6)))
    counted = census(session, LOG, most=2)
    assert counted is not None
    assert (len(counted.fates), counted.is_whole) == (2, False)
