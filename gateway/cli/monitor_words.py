"""What a monitor says of a look: a line for people, or an event in JSON a line."""

from collections.abc import Sequence
from pathlib import Path

from audit.monitor_look import Looked
from audit.monitor_state import Standing, State
from gateway.cli.output import Output
from gateway.instants import format_instant


def tell_look(output: Output, state: State, found: Looked, words: Sequence[str], *, now: int) -> None:
    """What was found, and what stands."""
    included = sum(own.index is not None for own in state.receipts.values())
    waiting = len(state.receipts) - included
    kept, standing, reading = state.kept, state.standing(), state.reading
    unread = 0 if reading is None else reading.checkpoint.size - reading.head.size
    size = 0 if kept is None else kept.checkpoint.size
    age = None if kept is None or not kept.fresh_at else max(0, now // 1_000 - kept.fresh_at)
    if output.as_json:
        for text in [*found.news, *words]:
            output.document({"event": "news", "at": format_instant(now), "text": text})
        output.document(
            {
                "event": "looked",
                "at": format_instant(now),
                "log": state.origin,
                "size": size,
                "new_entries": found.entries,
                "unread_entries": unread,
                "fresh_seconds": age,
                "receipts": {"included": included, "waiting": waiting},
                "alarms": [_alarm(one) for one in standing],
            }
        )
        return
    for text in [*found.news, *words]:
        output.note(f"note: {text}")
    if reading is not None:
        output.note(
            f"note: {state.origin} is read up to {reading.head.size} of {reading.checkpoint.size} entries, "
            "and the next look goes on from there"
        )
    state_of = "ALARM" if standing else "ok   "
    fresh = "freshness unknown" if age is None else f"fresh {age} s ago"
    output.line(
        f"{state_of} {format_instant(now)} {state.origin}: {size} entries (+{found.entries}), {fresh}, "
        f"receipts: {included} in it, {waiting} waiting"
    )
    for one in standing:
        told = f"{one.id} {one.kind.value}, {one.count} times since {format_instant(one.raised_at)}"
        output.line(f"      {told}: {one.text}")


def tell_alarm(output: Output, alarm: Standing, folder: Path) -> None:
    """An alarm that is new, with where its papers are."""
    if output.as_json:
        output.document({"event": "alarm", **_alarm(alarm), "papers": str(folder)})
        return
    proof = "the papers prove it to others" if alarm.is_provable else "the papers are for you"
    output.warn(f"ALARM {alarm.kind.value}: {alarm.text}\n  {proof}: {folder}")


def tell_away(output: Output, text: str, *, since: int) -> None:
    """Nobody answered."""
    if output.as_json:
        output.document({"event": "away", "since": format_instant(since), "text": text})
        return
    output.warn(f"away since {format_instant(since)}: {text}")


def _alarm(one: Standing) -> dict[str, object]:
    return {
        "id": one.id,
        "kind": one.kind.value,
        "text": one.text,
        "provable": one.is_provable,
        "raised_at": format_instant(one.raised_at),
        "seen_at": format_instant(one.seen_at),
        "count": one.count,
    }
