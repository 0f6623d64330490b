from gateway.egress.backlog import Backlog, Span


def made(start: int = 10, end: int = 20) -> Backlog:
    return Backlog(Span("ep_1", "topic", "id", 0, start, end))


def stored(backlog: Backlog) -> tuple[int, int] | None:
    span = backlog.row()
    return None if span is None else (span.start, span.end)


def test_it_covers_its_range_and_grows_at_the_end() -> None:
    backlog = made()
    assert backlog.covers(19)
    assert not backlog.covers(20)
    backlog.extend(25)
    assert stored(backlog) == (10, 26)
    assert backlog.cursor == 10


def test_the_row_shrinks_only_as_deliveries_settle() -> None:
    backlog = made()
    backlog.ledger.open(10, 1)
    backlog.pass_to(11)
    backlog.ledger.open(11, 1)
    backlog.pass_to(12)
    backlog.ledger.settle(11)
    assert stored(backlog) == (10, 20)
    backlog.ledger.settle(10)
    assert stored(backlog) == (12, 20)


def test_it_is_caught_up_when_read_and_gone_when_settled() -> None:
    backlog = made()
    backlog.ledger.open(10, 1)
    backlog.pass_to(20)
    assert backlog.is_caught_up
    assert stored(backlog) == (10, 20)
    backlog.ledger.settle(10)
    assert stored(backlog) is None


def test_growing_again_after_it_was_read_passes_over_what_went_to_the_lane_directly() -> None:
    backlog = made()
    backlog.pass_to(20)
    backlog.extend(30)
    assert (backlog.cursor, stored(backlog)) == (30, (30, 31))
