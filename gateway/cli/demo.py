"""`gateway demo`: the whole story with two partners, real records, a kill and a count. Leaves nothing behind.

The gateway and a partner's webhook receiver run as processes of their own; the demo speaks HTTP to both, as
any client can. On a Kafka and a PostgreSQL that it is told of, each role is a process. A number that is wrong
at the end, or a step that goes otherwise, ends it with a non-zero status.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from rich.console import Console

from audit.errors import VerificationError
from gateway.bootstrap.ground import entropy
from gateway.cli.demo_count import (
    ATTEMPTED_KIND,
    COLUMNS,
    Row,
    history_row,
    is_own,
    log_row,
    receiver_rows,
    topic_row,
    verify_counts,
)
from gateway.cli.demo_http import Party
from gateway.cli.demo_inbound import agree, make_mistakes, send_orders, send_prices
from gateway.cli.demo_kill import kill_in_mid_batch
from gateway.cli.demo_log import await_size
from gateway.cli.demo_material import EXAMPLES, Material, Sendable, read_material
from gateway.cli.demo_outbound import FAILURES, deliver, receiver_counts, show_history
from gateway.cli.demo_proofs import papers_of, pin, verify_offline, verify_only_grew
from gateway.cli.demo_scene import PARTNERS, Scene
from gateway.cli.demo_servers import Servers, Wanted
from gateway.cli.demo_stage import Stage
from gateway.cli.demo_words import Narrator
from gateway.cli.exits import Exit
from gateway.errors import GatewayError
from gateway.settings import environment
from partners.errors import PartnersError

_PATIENCE_SECONDS: Final = 30.0
_SENT: Final = (
    ("acme", "inbound", "shipments"),
    ("acme", "outbound", "confirmations"),
    ("globex", "inbound", "prices"),
)


def run_demo(
    *,
    events: int | None = None,
    keep: bool = False,
    wanted: Wanted | None = None,
    console: Console | None = None,
) -> int:
    """Tell the whole story; returns the exit status.

    `events`: so many prices, and at most as many shipments (None: thousands). `keep`: leave the folder with
    the gateway's data and the papers. `wanted`: the Kafka and PostgreSQL to run on; None: one process with
    both inside. `console`: where to tell it; None: the terminal.
    """
    tell = Narrator(console or Console(highlight=False), time.monotonic)
    try:
        asyncio.run(_interruptible(tell, events, wanted, keep=keep))
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


async def _interruptible(tell: Narrator, events: int | None, wanted: Wanted | None, *, keep: bool) -> None:
    """Run until the end, or until a signal asks to stop: what was started is ended either way."""
    if (task := asyncio.current_task()) is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    material = read_material(EXAMPLES, events)
    servers = None if wanted is None else Servers(wanted, entropy)
    if servers is not None:
        servers.open()
    stage = Stage(environment(), keep=keep, ticks=tell.ticks, servers=servers)
    try:
        scene = await _open(tell, stage, material)
        try:
            await _tell_all(scene)
        except GatewayError:
            tell.say("What the gateway said last (--keep leaves everything in its folder):")
            tell.block(stage.last_words() or "nothing")
            raise
        finally:
            await scene.close()
    finally:
        for words in stage.close():
            tell.bad(words)
    if keep:
        there = "" if servers is None else f"; and the database and the topics named {servers.name}"
        tell.say(f"Kept: {stage.folder}{there}")


async def _open(tell: Narrator, stage: Stage, material: Material) -> Scene:
    """Start the gateway, and wait until it serves."""
    servers = stage.servers
    with tell.chapter(f"A gateway on {'this machine' if servers is None else 'Kafka and PostgreSQL'}"):
        tell.say(f"Everything of this run is in {stage.folder}.")
        if servers is not None:
            tell.say(
                f"But for its events, which are on the Kafka at {servers.kafka}, and its decisions, in the "
                f"PostgreSQL at {servers.postgresql}: topics and a database named {servers.name}. Each role "
                "is a process of its own."
            )
        tell.command(*stage.commands)
        gateway = await stage.open_gateway()
        await stage.await_file(gateway, stage.data / "address")
        operator = Party(stage.url, stage.ca_file, stage.operator_key)
        await stage.ready(gateway, operator.is_ready)
        inside = ", SQLite and an embedded broker inside" if servers is None else ""
        tell.good(f"it serves {stage.url}{inside}; its certificate is verified")
    return Scene(stage, tell, material, tell.ticks, gateway, operator)


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
        DemoError: a count is not what it must be.
    """
    tell = scene.tell
    tell.say(
        "None of this is the senders' word: topics, logs and receiver are read from the first to the last."
    )
    if scene.stage.servers is not None:
        tell.say("The topics are read by a consumer of Kafka that knows nothing of the gateway.")
    counts = await receiver_counts(scene)
    rows = [await _topic(scene, *one) for one in _SENT]
    for slug in PARTNERS:
        rows += await _partner(scene, slug, counts)
    tell.table(COLUMNS, [row.cells() for row in rows])
    verify_counts(rows)
    tell.good(f"all {len(rows)} counts are right: nothing was lost, nothing was doubled")


def _sent(scene: Scene, what: str) -> tuple[Sendable, ...]:
    return tuple(getattr(scene.material, what))


async def _topic(scene: Scene, slug: str, direction: str, what: str) -> Row:
    servers = scene.stage.servers
    if servers is None:
        records = await scene.operator.topic(f"/v1/partners/{slug}/stream", direction)
    else:
        records = servers.read_topic(slug, direction)  # it blocks, and nothing else has to be done meanwhile
    return topic_row(slug, what, [one.id for one in _sent(scene, what)], records)


async def _partner(scene: Scene, slug: str, counts: Mapping[str, int]) -> list[Row]:
    """The partner's log and history, and its receiver where it has one."""
    papers, party = papers_of(scene), scene.partners[slug]
    total = sum(len(_sent(scene, what)) for partner, _, what in _SENT if partner == slug)
    deliveries = counts["verified"] if slug == "acme" else 0
    await await_size(party, papers.log_path(slug), total + deliveries, _PATIENCE_SECONDS, scene.ticks)
    history = await party.history("/v1/history")
    own = [await _receipt(party, str(row["ref"])) for row in history if row["ref"] and is_own(row)]
    whole = await verify_only_grew(scene, slug)
    held = own + [receipt for (partner, _, _), receipt in scene.receipts.items() if partner == slug]
    with scene.tell.waiting(f"receipts of {slug}", len(held)) as shown:
        receipts = _counted(held, shown)
        rows = [log_row(slug, total + len(own), whole.leaves, receipts, papers.pins().receipts)]
    rows.append(history_row(slug, total, history))
    if deliveries:
        attempts = whole.kinds()[ATTEMPTED_KIND]
        rows += receiver_rows(len(scene.material.confirmations), FAILURES, counts, attempts)
    return rows


async def _receipt(party: Party, ref: str) -> str:
    """The receipt of an event that the gateway made of itself: it stands in the log like any other."""
    return str((await party.get(f"/v1/history/{ref}")).expect(200).document["receipt"])


def _counted(tokens: Iterable[str], shown: Callable[[int], None]) -> Iterator[str]:
    """The tokens as they come, each told to a bar."""
    for number, token in enumerate(tokens, 1):
        yield token
        shown(number)
