"""The way out: our confirmations to Acme as signed webhooks, and the history of both directions."""

import asyncio
from typing import Any, Final

from gateway.cli.demo_inbound import BATCH, keyed_receipts
from gateway.cli.demo_log import await_size
from gateway.cli.demo_material import as_lines, batches
from gateway.cli.demo_proofs import papers_of
from gateway.cli.demo_scene import ACCEPTED, LINES, Scene
from gateway.cli.demo_words import DemoError

FAILURES: Final = 2
"""How often the receiver answers 503 before it works."""

_COLUMNS: Final = ("id", "type", "direction", "state", "at", "log entry")
_SHOWN: Final = (
    {"state": "delivered", "direction": "outbound"},
    {"state": "accepted", "direction": "inbound"},
    {"state": "refused", "direction": "inbound"},
)
_SHOWN_ROWS: Final = 3
_PATIENCE_SECONDS: Final = 60.0
_LOOK_AGAIN_SECONDS: Final = 0.2


async def deliver(scene: Scene) -> None:
    """Put confirmations on the outbound topic, and wait until the receiver has them all."""
    tell, confirmations = scene.tell, scene.material.confirmations
    tell.say(
        f"We confirm {len(confirmations)} shipments. Acme's receiver is another process with its own code; "
        f"it verifies each signature, and answers 503 to the first {FAILURES} messages."
    )
    tell.command(f"gateway send acme {ACCEPTED} @confirmations.ndjson --batch")
    path = f"/v1/partners/acme/events/{ACCEPTED}"
    for batch in batches(confirmations, BATCH):
        reply = await scene.operator.send_surely(path, as_lines(batch), LINES)
        scene.receipts |= keyed_receipts(reply, "acme", "outbound", batch)
    counts = await _await_receiver(scene, len(confirmations))
    tell.good(
        f"the receiver says: {counts['unique']} messages, {counts['verified']} signatures verified, "
        f"{counts['bad_signatures']} bad; {counts['answered_503']} answered 503 and came again"
    )


async def receiver_counts(scene: Scene) -> dict[str, int]:
    """What the receiver itself has counted."""
    if scene.receiver is None:
        raise DemoError("there is no receiver")
    reply = (await scene.receiver.get("/counts")).expect(200)
    return {name: int(count) for name, count in reply.document.items()}


async def show_history(scene: Scene) -> None:
    """The newest rows of each state, as a table."""
    tell = scene.tell
    tell.say("Acme looks at what happened to its events; each row is an entry of Acme's own log.")
    tell.command("gateway history list --state delivered --limit 3", "gateway history list --state refused")
    rows: list[dict[str, Any]] = []
    await _await_log(scene)
    for wanted in _SHOWN:
        found = (await scene.partners["acme"].get("/v1/history", limit=_SHOWN_ROWS, **wanted)).expect(200)
        rows += found.document["items"]
    states = {str(row["state"]) for row in rows}
    if states != {"delivered", "accepted", "refused"}:
        raise DemoError(f"the history has the states {', '.join(sorted(states))} only")
    tell.table(
        _COLUMNS, [[*(row[name] for name in _COLUMNS[:4]), _time(row["at"]), _entry(row)] for row in rows]
    )
    await _show_retried(scene)


async def _await_log(scene: Scene) -> None:
    """Wait until Acme's log has everything so far: it is a moment behind what it tells of."""
    counts, papers = await receiver_counts(scene), papers_of(scene)
    sent = len(scene.material.shipments) + len(scene.material.confirmations)
    path, patience = papers.log_path("acme"), _PATIENCE_SECONDS
    await await_size(scene.partners["acme"], path, sent + counts["verified"], patience, scene.ticks)


async def _show_retried(scene: Scene) -> None:
    """The messages that the receiver refused at first: every attempt is in the log."""
    if scene.receiver is None:
        raise DemoError("there is no receiver")
    failed: list[str] = (await scene.receiver.get("/failed")).expect(200).document["ids"]
    retries = 0
    for ref in sorted(set(failed)):
        timeline = (await scene.partners["acme"].get(f"/v1/history/{ref}", wait=10)).expect(200).document
        tries = [entry for entry in timeline["entries"] if entry["kind"] == "delivery.attempted"]
        retries += len(tries) - 1
        scene.tell.say(f"The receiver was out of order for {timeline['id']}; the log has every attempt:")
        scene.tell.command(f"gateway history show {ref}")
        scene.tell.table(
            ("entry", "at", "attempt", "outcome", "reason"),
            [
                [
                    entry["kind"],
                    _time(entry["at"]),
                    *map(entry["evidence"].get, ("number", "outcome", "reason")),
                ]
                for entry in tries
            ],
        )
    if len(failed) != FAILURES or retries != FAILURES:
        raise DemoError(f"{len(failed)} answers of 503, {retries} retries in the log; expected {FAILURES}")


def _time(at: str) -> str:
    """The time of the day, UTC, of an RFC 3339 instant."""
    return at[11:23]


def _entry(row: dict[str, Any]) -> str:
    return "waits" if row["log"] is None else str(row["log"]["index"])


async def _await_receiver(scene: Scene, wanted: int) -> dict[str, int]:
    deadline = scene.ticks() + _PATIENCE_SECONDS
    with scene.tell.waiting("deliveries", wanted) as shown:
        while True:
            counts = await receiver_counts(scene)
            shown(counts["unique"])
            if counts["unique"] >= wanted:
                return counts
            if scene.ticks() > deadline:
                raise DemoError(f"the receiver has {counts['unique']} of {wanted} messages after a minute")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
