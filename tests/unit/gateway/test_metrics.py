import math
import re

import pytest
from prometheus_client import REGISTRY

from gateway.bootstrap.board import Board
from gateway.http.catalogue import CATALOGUE
from gateway.metrics import OTHER, ROUTE_GROUPS, STATUSES, Metrics


def series(metrics: Metrics) -> dict[str, float]:
    text = metrics.render().decode()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        if "_created" not in name
    }


def test_counts_appear_under_their_labels() -> None:
    metrics = Metrics()
    metrics.accepted("inbound", count=3, repeats=1)
    metrics.refused("event_invalid", 2)
    metrics.claim("won")
    metrics.appended("stored", 5)
    metrics.attempt("retry", "timed_out", 12)
    metrics.attempt("delivered", None, 12)
    metrics.log_append(7, 3)
    metrics.leases("relay", 64)
    metrics.restarted("sequencer")
    found = series(metrics)
    assert found['gateway_events_accepted_total{direction="inbound"}'] == 3
    assert found['gateway_events_repeated_total{direction="inbound"}'] == 1
    assert found['gateway_events_refused_total{code="event_invalid"}'] == 2
    assert found['gateway_claims_total{outcome="won"}'] == 1
    assert found['gateway_broker_records_total{answer="stored"}'] == 5
    assert found['gateway_delivery_attempts_total{outcome="retry",reason="timed_out"}'] == 1
    assert found['gateway_delivery_attempts_total{outcome="delivered",reason="none"}'] == 1
    assert found["gateway_log_entries_total"] == 7
    assert found['gateway_leases_held{role="relay"}'] == 64
    assert found['gateway_role_restarts_total{role="sequencer"}'] == 1


def test_times_are_shown_in_seconds() -> None:
    metrics = Metrics()
    metrics.request(250)
    metrics.append(10)
    metrics.group_commit(20, 4)
    found = series(metrics)
    assert found["gateway_request_seconds_sum"] == pytest.approx(0.25)
    assert found["gateway_broker_append_seconds_count"] == 1
    assert found["gateway_group_commit_items_total"] == 20


def test_what_is_not_known_is_no_number() -> None:
    metrics = Metrics()
    name = 'gateway_unread_records{direction="inbound",role="relay"}'
    assert math.isnan(series(metrics)[name])
    metrics.unread({("relay", "inbound"): 7})
    assert series(metrics)[name] == 7
    metrics.unread(None)
    assert math.isnan(series(metrics)[name])


def test_every_series_is_there_before_the_first_event() -> None:
    found = series(Metrics())
    assert found['gateway_events_refused_total{code="storage_full"}'] == 0
    assert found['gateway_delivery_attempts_total{outcome="parked",reason="gone"}'] == 0


def test_value_from_outside_adds_at_most_one_series() -> None:
    metrics = Metrics()
    before = len(series(metrics))
    for n in range(50):
        metrics.refused(f"made-up-{n}")
        metrics.attempt("retry", f"made-up-{n}", 1)
    found = series(metrics)
    assert found['gateway_events_refused_total{code="other"}'] == 50
    assert len(found) == before + 2


def test_answers_make_no_series_that_are_not_of_closed_sets_and_all_fit_a_board() -> None:
    metrics, board = Metrics(), Board(1)
    for number in range(50):
        metrics.answered(f"/v1/made/up/{number}", 700 + number, f"4{number:04}")
    assert series(metrics)['gateway_answers_total{code="other",group="other",status="other"}'] == 50
    for group in ROUTE_GROUPS:
        for code, meaning in CATALOGUE.items():
            metrics.answered(group, meaning.status, code)
        for status in STATUSES - {OTHER}:
            metrics.answered(group, int(status), "none")
            metrics.answered(group, int(status), OTHER)
    board.post(0, metrics.readings())
    assert board.read(0) == metrics.readings()


def test_no_label_names_a_partner_type_or_endpoint() -> None:
    metrics = Metrics()
    labels = set(re.findall(r'(\w+)="', metrics.render().decode())) - {"le"}
    assert labels == {"direction", "code", "outcome", "answer", "reason", "role", "group", "status"}


def test_registries_are_apart_from_each_other_and_from_the_global_one() -> None:
    first, second = Metrics(), Metrics()
    first.unrouted()
    assert series(second)["gateway_events_unrouted_total"] == 0
    assert not any(name.startswith("gateway_") for name in REGISTRY._names_to_collectors)
