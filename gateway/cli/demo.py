"""`gateway demo`: the whole story with two partners, real records, a kill and a count. Leaves nothing behind.

The gateway and a partner's webhook receiver run as processes of their own; the demo speaks HTTP to both, as
any client can. A number that is wrong at the end, or a step that goes otherwise, ends it with a non-zero
status.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Final

from rich.console import Console

from audit.errors import VerificationError
from gateway.cli.demo_count import (
    ATTEMPTED_KIND,
    COLUMNS,
    Row,
    history_row,
    log_rows,
    mismatches,
    receiver_rows,
    topic_rows,
)
from gateway.cli.demo_http import DemoError, Party
from gateway.cli.demo_inbound import agree, make_mistakes, send_orders, send_prices
from gateway.cli.demo_kill import kill_in_mid_batch
from gateway.cli.demo_log import WholeLog, await_size, read_log
from gateway.cli.demo_material import EXAMPLES, read_material
from gateway.cli.demo_outbound import FAILURES, deliver, receiver_counts, show_history
from gateway.cli.demo_proofs import papers_of, pin, verify_offline, verify_only_grew
from gateway.cli.demo_scene import PARTNERS, Scene
from gateway.cli.demo_stage import Stage
from gateway.cli.demo_words import Narrator
from gateway.cli.exits import Exit
from gateway.errors import GatewayError
from gateway.settings import environment
from partners.errors import PartnersError

_PATIENCE_SECONDS: Final = 30.0


def run_demo(*, events: int | None = None, keep: bool = False, console: Console | None = None) -> int:
    """Tell the whole story; returns the exit status.

    `events`: so many prices, and at most as many shipments (None: thousands). `keep`: leave the folder with
    the gateway's data and the papers. `console`: where to tell it; None: the terminal.
    """
    tell = Narrator(console or Console(highlight=False), time.monotonic)
    try:
        asyncio.run(_interruptible(tell, events, keep=keep))
    except VerificationError as error:
        tell.bad(f"verification failed: {error}")
        return int(Exit.NOT_PROVED)
    except (GatewayError, PartnersError) as error:
        tell.bad(str(error))
        return int(Exit.FAULT)
    except (KeyboardInterrupt, asyncio.CancelledError):
        tell.say("stopped; every process was ended")
        return int(Exit.INTERRUPTED)
    return int(Exit.DONE)


async def _interruptible(tell: Narrator, events: int | None, *, keep: bool) -> None:
    """Run until the end, or until a signal asks to stop: what was started is ended either way."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    material = read_material(EXAMPLES, events)
    stage = Stage(environment(), keep=keep, ticks=tell.ticks)
    try:
        with tell.chapter("A gateway on this machine"):
            tell.say(f"Everything of this run is in {stage.folder}.")
            tell.command(f"gateway up --data {stage.data} --port {stage.port} --tls dev")
            gateway = stage.start_gateway()
            await stage.await_file(gateway, stage.data / "address")
            operator = Party(stage.url, stage.ca_file, stage.operator_key)
            scene = Scene(stage, tell, material, tell.ticks, gateway, operator)
            await stage.ready(gateway, operator.is_ready)
            tell.good(
                f"it serves {stage.url}, SQLite and an embedded broker inside; its certificate is verified"
            )
        try:
            await _tell_all(scene)
        finally:
            await scene.close()
    finally:
        stage.close()
    if keep:
        tell.say(f"Kept: {stage.folder}")


async def _tell_all(scene: Scene) -> None:
    tell, prices = scene.tell, scene.material.prices
    half = len(prices) // 2
    with tell.chapter("Two partners, two contracts"):
        _, port = await scene.stage.start_receiver(FAILURES)
        scene.receiver = Party(f"http://127.0.0.1:{port}", None)
        await agree(scene, port)
        await pin(scene)
    with tell.chapter("Acme sends its orders"):
        await send_orders(scene)
    with tell.chapter("Mistakes, and the same event twice"):
        await make_mistakes(scene)
    with tell.chapter("Globex sends prices"):
        await send_prices(scene, prices[:half])
    with tell.chapter("Webhooks to Acme"):
        await deliver(scene)
    with tell.chapter("History"):
        await show_history(scene)
    with tell.chapter("Proofs, without the gateway"):
        await verify_offline(scene)
    with tell.chapter("Killed in mid-batch"):
        await kill_in_mid_batch(scene, prices[half:])
    with tell.chapter("The count"):
        await _count(scene)
    tell.console.print()
    tell.table(("part", "seconds"), [[title, f"{seconds:.1f}"] for title, seconds in tell.durations])
    tell.say(f"All of it: {sum(seconds for _, seconds in tell.durations):.1f} s.")


async def _count(scene: Scene) -> None:
    """Count everything at the other side.

    Raises:
        DemoError: a number is not what it must be.
    """
    tell = scene.tell
    tell.say(
        "Nothing here is the senders' word: topics, logs and receiver are read from the first to the last."
    )
    for slug in PARTNERS:
        await verify_only_grew(scene, slug)
    rows = await _rows(scene)
    tell.table(COLUMNS, [row.cells() for row in rows])
    wrong = mismatches(rows)
    for line in wrong:
        tell.bad(line)
    if wrong:
        raise DemoError(f"{len(wrong)} of {len(rows)} numbers are wrong")
    tell.good(f"all {len(rows)} numbers are right: nothing was lost, nothing was doubled")


async def _rows(scene: Scene) -> list[Row]:
    pinned, rows = papers_of(scene).pins(), list[Row]()
    sent = {
        ("acme", "inbound"): scene.material.shipments,
        ("acme", "outbound"): scene.material.confirmations,
        ("globex", "inbound"): scene.material.prices,
    }
    words = {"acme inbound": "shipments", "acme outbound": "confirmations", "globex inbound": "prices"}
    for (slug, direction), events in sent.items():
        records = await scene.operator.topic(f"/v1/partners/{slug}/stream", direction)
        rows += topic_rows(slug, words[f"{slug} {direction}"], [one.id for one in events], records)
    counts = await receiver_counts(scene)
    for slug in PARTNERS:
        total = sum(len(events) for (partner, _), events in sent.items() if partner == slug)
        attempts = counts["verified"] if slug == "acme" else 0
        whole = await _whole_log(scene, slug, total + attempts)
        held = [receipt for (partner, _, _), receipt in scene.receipts.items() if partner == slug]
        rows += log_rows(slug, whole.leaves, held, pinned.receipts)
        rows.append(history_row(slug, total, await scene.partners[slug].history("/v1/history")))
        if slug == "acme":
            tried = whole.kinds()[ATTEMPTED_KIND]
            rows += receiver_rows(len(scene.material.confirmations), FAILURES, counts, tried)
    return rows


async def _whole_log(scene: Scene, slug: str, wanted: int) -> WholeLog:
    papers, party = papers_of(scene), scene.partners[slug]
    path = papers.log_path(slug)
    await await_size(party, path, wanted, _PATIENCE_SECONDS, scene.ticks)
    silent: Callable[[int], None] = lambda _: None  # noqa: E731 - no bar: it is read a second time
    return await read_log(party, path, papers.log_key(slug), silent)
