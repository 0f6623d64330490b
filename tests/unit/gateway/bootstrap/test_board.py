import os

from gateway.bootstrap.board import Board
from gateway.bootstrap.posting import Postings
from gateway.bootstrap.workers import Seat
from gateway.metrics import Metrics, add_up


def seat(board: Board, number: int) -> Seat:
    return Seat(number, is_quiet=False, parent=0, board=board, _ready=0)


def count_of(text: bytes, series: str) -> float:
    (line,) = [line for line in text.decode().splitlines() if line.startswith(f"{series} ")]
    return float(line.rsplit(" ", 1)[1])


ACCEPTED = 'gateway_events_accepted_total{direction="inbound"}'


def test_a_slot_is_read_by_another_process() -> None:
    board = Board(2)
    assert board.read(1) == {}
    pid = os.fork()
    if pid == 0:
        board.post(1, {("a_total", (("x", "y"),)): 3.0})
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert board.read(1) == {("a_total", (("x", "y"),)): 3.0}
    assert board.read_others(1) == [{}]


def test_a_slot_that_is_half_written_shows_what_it_held_before() -> None:
    board = Board(1)
    board.post(0, {("a_total", ()): 1.0})
    assert board.read(0) == {("a_total", ()): 1.0}
    board._memory[8:9] = b"!"
    assert board.read(0) == {("a_total", ()): 1.0}


def test_whoever_is_asked_answers_for_all() -> None:
    board = Board(2)
    metrics = [Metrics(), Metrics()]
    postings = [Postings(one, seat(board, number)) for number, one in enumerate(metrics)]
    metrics[0].accepted("inbound", count=3)
    metrics[1].accepted("inbound", count=4)
    metrics[1].claim("a word from outside")
    metrics[1].request(20.0)
    for one in postings:
        one._post()
    for one in postings:
        text = one.render()
        assert count_of(text, ACCEPTED) == 7
        assert count_of(text, 'gateway_claims_total{outcome="other"}') == 1
        assert count_of(text, "gateway_request_seconds_sum") == 0.02
        assert count_of(text, 'gateway_request_seconds_bucket{le="0.025"}') == 1


def test_a_sum_does_not_fall_when_a_worker_is_replaced() -> None:
    board = Board(2)
    dead = Metrics()
    dead.accepted("inbound", count=5)
    Postings(dead, seat(board, 1))._post()
    fresh, other = Metrics(), Postings(Metrics(), seat(board, 0))
    successor = Postings(fresh, seat(board, 1))
    fresh.accepted("inbound", count=2)
    successor._post()
    assert count_of(successor.render(), ACCEPTED) == 7
    assert count_of(other.render(), ACCEPTED) == 7


def test_alone_a_process_answers_for_itself() -> None:
    metrics = Metrics()
    metrics.accepted("inbound")
    alone = Postings(metrics, None)
    alone._post()
    assert count_of(alone.render(), ACCEPTED) == 1


def test_readings_have_no_gauge_and_no_moment() -> None:
    metrics = Metrics()
    metrics.leases("relay", 7)
    names = {name for name, _ in metrics.readings()}
    assert "gateway_leases_held" not in names
    assert not [name for name in names if name.endswith("_created")]
    assert add_up([metrics.readings(), metrics.readings()]) == metrics.readings()


def test_a_change_is_heard_once_all_others_have_followed_it() -> None:
    board = Board(3)
    assert board.is_heard(0, 0)
    change = board.change(0)
    assert not board.is_heard(0, change)
    board.hear(1, board.changes())
    assert not board.is_heard(0, change)
    board.hear(2, board.changes())
    assert board.is_heard(0, change)
    assert not board.is_heard(0, board.change(0))
