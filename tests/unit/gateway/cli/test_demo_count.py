"""The count at the end: what is lost, doubled or out of nowhere is seen at every place."""

import pytest

from audit.errors import UnpinnedKeyError
from audit.evidence import Kind
from audit.receipt import issue
from gateway.cli.demo_count import Row, history_row, log_row, receiver_rows, topic_row, verify_counts
from gateway.cli.demo_words import DemoError
from tests.unit.audit.builders import OTHER_SIGNER, RECEIPT_SIGNER, evidence

KEYS = {RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}
COUNTS = {
    "unique": 3,
    "events": 3,
    "repeats": 0,
    "verified": 5,
    "bad_signatures": 0,
    "answered_503": 2,
}


def topic(*records: str) -> Row:
    return topic_row("acme", "orders", ["a", "b", "c"], [("/partners/acme", one) for one in records])


def held(*numbers: int) -> list[str]:
    return [issue(evidence(number), RECEIPT_SIGNER).token for number in numbers]


def log(*numbers: int) -> list[bytes]:
    return [evidence(0, kind=Kind.REFUSED).leaf(), *(evidence(number).leaf() for number in numbers)]


def test_a_topic_with_each_record_once_is_right() -> None:
    assert topic("c", "a", "b") == Row("acme", "orders", "topic", 3, 3)
    assert topic("c", "a", "b").is_right


def test_a_lost_record_is_seen() -> None:
    assert (topic("a", "b").lost, topic("a", "b").is_right) == (1, False)


def test_a_doubled_record_is_seen() -> None:
    assert (topic("a", "b", "b", "c").doubled, topic("a", "b", "b", "c").is_right) == (1, False)


def test_a_record_that_nobody_sent_is_seen_even_where_the_number_is_right() -> None:
    row = topic("a", "b", "x")
    assert (row.found, row.lost, row.stray, row.is_right) == (3, 1, 1, False)


def test_a_log_with_an_entry_for_each_receipt_is_right() -> None:
    row = log_row("acme", 2, log(1, 2), held(1, 2), KEYS)
    assert row == Row("acme", "receipts", "log", 2, 2)
    assert row.is_right


def test_a_receipt_without_an_entry_is_seen() -> None:
    row = log_row("acme", 2, log(1), held(1, 2), KEYS)
    assert (row.found, row.lost, row.is_right) == (1, 1, False)


def test_an_entry_without_a_receipt_is_seen() -> None:
    row = log_row("acme", 1, log(1, 2), held(1), KEYS)
    assert (row.stray, row.is_right) == (1, False)


def test_an_entry_that_stands_twice_is_seen() -> None:
    row = log_row("acme", 1, log(1, 1), held(1), KEYS)
    assert (row.doubled, row.is_right) == (1, False)


def test_an_event_whose_receipt_the_sender_lacks_is_seen() -> None:
    assert not log_row("acme", 2, log(1), held(1), KEYS).is_right


def test_a_receipt_of_another_signer_counts_for_nothing() -> None:
    forged = issue(evidence(1), OTHER_SIGNER).token
    with pytest.raises(UnpinnedKeyError):
        log_row("acme", 1, log(1), [forged], KEYS)


def test_the_history_counts_each_event_once_and_no_refusal() -> None:
    rows: list[dict[str, object]] = [
        {"ref": "evt_a", "state": "accepted"},
        {"ref": "evt_b", "state": "delivered"},
        {"ref": None, "state": "refused"},
    ]
    assert history_row("acme", 2, rows).is_right
    assert history_row("acme", 2, [*rows, rows[0]]).doubled == 1
    assert history_row("acme", 3, rows).lost == 1


def test_an_event_that_waits_for_its_broker_is_not_counted() -> None:
    assert not history_row("acme", 1, [{"ref": "evt_a", "state": "unconfirmed"}]).is_right


def test_a_receiver_that_has_everything_once_is_right() -> None:
    assert all(row.is_right for row in receiver_rows(3, 2, COUNTS, 5))


@pytest.mark.parametrize(
    "changed",
    [
        {"unique": 2},
        {"events": 2},
        {"repeats": 1},
        {"bad_signatures": 1},
        {"answered_503": 1},
        {"verified": 6},
    ],
)
def test_every_count_of_the_receiver_matters(changed: dict[str, int]) -> None:
    assert not all(row.is_right for row in receiver_rows(3, 2, COUNTS | changed, 5))


def test_a_wrong_count_ends_the_demo_and_is_named() -> None:
    with pytest.raises(DemoError, match=r"1 of 2 counts are wrong:\nacme's topic: orders: 2 of 3; 1 lost"):
        verify_counts([topic("a", "b", "c"), topic("a", "b")])


def test_right_counts_pass() -> None:
    verify_counts([topic("a", "b", "c")])


def test_nothing_counted_is_nothing_shown() -> None:
    with pytest.raises(DemoError):
        verify_counts([])
