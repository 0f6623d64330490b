from dataclasses import replace
from typing import Any

import pytest

from audit.evidence import Evidence
from gateway.event import short_pointer
from gateway.http.catalogue import CATALOGUE
from gateway.ingress.refusal_fold import MAX_FAULTS, MAX_TYPED, Refusal, RefusalFold

FIRST = Refusal(
    partner="acme",
    direction="inbound",
    log="gw.example/log/k3v9q2",
    type="order.placed",
    source=None,
    id=None,
    content=None,
    code="event_invalid",
    faults=(("/qty", "type"),),
    faults_total=1,
    auth={"method": "api_key", "credential": "crd_1"},
    at=1_000_000,
)


def fold(kinds: int = 10) -> RefusalFold:
    return RefusalFold(iss="https://gw.example", entropy=bytes, window_ms=100, kinds=kinds)


def told(entries: list[Evidence]) -> list[tuple[int, int]]:
    """How many refusals each entry stands for, and since when."""
    return [(one.members["count"], one.members["since"]) for one in entries]


def test_the_first_is_told_at_once_and_the_like_are_counted() -> None:
    folded = fold()
    assert told(folded.note(FIRST)) == [(1, 1_000_000)]
    assert [folded.note(replace(FIRST, at=1_000_000 + n)) for n in (10, 20, 99)] == [[], [], []]
    assert folded.due(1_000_099) == []
    assert told(folded.due(1_000_100)) == [(3, 1_000_010)]
    assert folded.due(1 << 62) == []


def test_a_window_that_has_ended_is_told_before_the_next_begins() -> None:
    folded = fold()
    folded.note(FIRST)
    folded.note(replace(FIRST, at=1_000_050))
    assert told(folded.note(replace(FIRST, at=1_000_200))) == [(1, 1_000_050), (1, 1_000_200)]


@pytest.mark.parametrize(
    "other",
    [
        {"partner": "globex"},
        {"auth": {"method": "api_key", "credential": "crd_2"}},
        {"direction": "outbound"},
        {"type": "x"},
        {"code": "event_conflict"},
    ],
)
def test_other_kinds_are_told_for_themselves(other: dict[str, Any]) -> None:
    folded = fold()
    folded.note(FIRST)
    assert len(folded.note(replace(FIRST, **other))) == 1


def test_types_that_a_sender_invents_are_one_kind() -> None:
    folded = fold(kinds=1_000)
    unknown = replace(FIRST, code="event_type_unknown")
    entries = [one for n in range(500) for one in folded.note(replace(unknown, type=f"invented.{n}"))]
    assert told(entries) == [(1, 1_000_000)]
    assert told(folded.due(1 << 62)) == [(499, 1_000_000)]


def test_beyond_the_kinds_remembered_refusals_are_still_folded() -> None:
    folded = fold(kinds=3)
    entries = [one for n in range(100) for one in folded.note(replace(FIRST, type=f"t{n}"))]
    assert len(entries) == 4
    assert told(folded.due(1 << 62)) == [(96, 1_000_000)]


def test_whatever_a_broken_client_changes_it_fills_no_log() -> None:
    folded = RefusalFold(iss="https://gw.example", entropy=bytes)
    codes = [code for code in CATALOGUE if code != "event_type_unknown"]
    entries = 0
    for n in range(12_000):  # 200 a second for a minute, none like another
        changed = replace(
            FIRST,
            type=f"type.{n % 500}",
            id=f"id-{n}",
            source=f"/source/{n}",
            code=codes[n // 300 % len(codes)],
            at=FIRST.at + 5 * n,
        )
        entries += len(folded.note(changed)) + (0 if n % 200 else len(folded.due(changed.at)))
    entries += len(folded.due(FIRST.at + 60_000 + 60_000))
    assert entries <= 2 * (40 + len(codes))
    # And then it is as if nothing had been: kinds that are over count no longer.
    again = replace(FIRST, at=FIRST.at + 200_000)
    assert [len(folded.note(replace(again, type=f"later.{n}"))) for n in range(MAX_TYPED)] == [1] * MAX_TYPED
    assert len(folded.note(replace(again, type="one.more"))) == 1
    assert len(folded.note(replace(again, type="another.one"))) == 0


def test_one_credential_that_has_many_kinds_takes_none_from_another() -> None:
    folded = fold(kinds=1_000)
    for n in range(100):
        folded.note(replace(FIRST, type=f"t{n}"))
    other = replace(FIRST, auth={"method": "api_key", "credential": "crd_2"})
    assert [len(folded.note(replace(other, type=f"t{n}"))) for n in range(10)] == [1] * 10


@pytest.mark.parametrize("token", ["\x00", "東", '"'])
def test_the_longest_faults_fit_the_evidence(token: str) -> None:
    pointer = short_pointer("/" + token * 2_000)
    worst = replace(
        FIRST,
        faults=((pointer, "unknown_field"),) * MAX_FAULTS,
        faults_total=100,
        id='"' * 256,
        source='"' * 512,
        content={"sha256": "0" * 64, "length": 1, "type": "\x01" * 128, "encoding": "identity"},
    )
    (entry,) = fold().note(worst)
    assert len(entry.members["faults"]) == MAX_FAULTS
    assert entry.ref is not None
