import pytest

from gateway.egress.ledger import Ledger, flatten, unflatten


def test_it_starts_where_it_is_told() -> None:
    ledger = Ledger(7)
    assert (ledger.watermark, ledger.finished(), ledger.owing) == (7, (), 0)
    assert ledger.is_known(6)
    assert not ledger.is_known(7)


def test_the_watermark_waits_for_the_oldest_unsettled_offset() -> None:
    ledger = Ledger(0)
    for offset in range(4):
        ledger.open(offset, 1)
    ledger.settle(1)
    ledger.settle(2)
    assert (ledger.watermark, ledger.finished()) == (0, ((1, 3),))
    ledger.settle(0)
    assert (ledger.watermark, ledger.finished()) == (3, ())


def test_an_offset_is_settled_when_all_its_parts_are() -> None:
    ledger = Ledger(0)
    ledger.open(0, 3)
    ledger.settle(0, 2)
    assert ledger.watermark == 0
    ledger.settle(0)
    assert ledger.watermark == 1


def test_offsets_that_hold_no_record_count_as_settled() -> None:
    ledger = Ledger(0)
    ledger.open(5, 1)
    ledger.pass_to(9)
    assert (ledger.watermark, ledger.finished()) == (5, ((6, 9),))
    ledger.settle(5)
    assert ledger.watermark == 9


def test_what_was_finished_before_a_restart_needs_nothing_more() -> None:
    ledger = Ledger(2, [(3, 5), (8, 9)])
    assert [offset for offset in range(10) if ledger.is_known(offset)] == [0, 1, 3, 4, 8]
    ledger.open(2, 1)
    assert ledger.finished() == ((3, 5), (8, 9))
    ledger.settle(2)
    assert (ledger.watermark, ledger.finished()) == (5, ((8, 9),))


def test_a_wrong_use_is_refused() -> None:
    ledger = Ledger(0)
    ledger.open(0, 1)
    with pytest.raises(ValueError, match="cannot be opened"):
        ledger.open(0, 1)
    with pytest.raises(ValueError, match="cannot be opened"):
        ledger.open(1, 0)
    with pytest.raises(ValueError, match="does not owe"):
        ledger.settle(0, 2)


def test_ranges_are_stored_flat_and_come_back() -> None:
    assert unflatten(flatten([(3, 5), (8, 9)])) == ((3, 5), (8, 9))
    assert flatten(()) == ()
    assert unflatten(()) == ()
