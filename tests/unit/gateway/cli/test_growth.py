import json

from audit import log as audit_log
from audit.checkpoint import read_checkpoint
from audit.epochs import Opening, members_of, open_epoch
from audit.evidence import Kind, make_evidence
from tests.unit.gateway.cli.conftest import Desk, orders


async def grow(desk: Desk, number: int) -> None:
    """Send an event and wait until a published checkpoint has it."""
    order = json.dumps(orders(1, start=number)[0]).encode()
    sent = (await desk.run("send", "order.placed", "-", "--json", stdin=order, by="acme")).document()
    assert (await desk.run("history", "proof", sent["ref"], by="acme")).code == 0


async def checkpoint(desk: Desk, instead: tuple[bytes, bytes] = (b"", b"")) -> tuple[str, str]:
    """A file with the checkpoint of today (a text in it replaced by another), and the log's key."""
    async with desk.house.client("acme") as client:
        (log,) = (await client.get("/v1/me")).json()["logs"]
        content = (await client.get(f"{log['url']}/checkpoint")).content.replace(*instead)
    return str(desk.shell.write("checkpoint", content)), log["keys"][0]


async def test_what_is_saved_proves_that_the_log_only_grew(desk: Desk) -> None:
    await grow(desk, 1)
    old, pin = await checkpoint(desk)
    await grow(desk, 2)
    for by, whose in (("acme", ()), ("operator", ("--partner", "acme"))):
        growth = str(desk.shell.folder / f"growth-{by}")
        saved = await desk.run("history", "consistency", *whose, "--old", old, "-o", growth, by=by)
        assert saved.code == 0
        assert f"gateway verify --old {old} --consistency {growth}" in saved.err
        ended = desk.shell.run("verify", "--old", old, "--consistency", growth, "--log-key", pin)
        assert (ended.code, ended.out.splitlines()[0]) == (0, "proved")


async def test_a_size_does_as_well_as_a_checkpoint(desk: Desk) -> None:
    await grow(desk, 1)
    ended = await desk.run("history", "consistency", "--old", "1", by="acme")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "old 1")
    beyond = await desk.run("history", "consistency", "--old", "99999", by="acme")
    assert (beyond.code, "--old must be at most" in beyond.err) == (2, True)


async def test_what_is_no_checkpoint_of_this_log_is_a_usage_error(desk: Desk) -> None:
    await grow(desk, 1)
    foreign, _ = await checkpoint(desk, (b"/log/", b"/gol/"))
    nothing = str(desk.shell.write("nothing", "none"))
    for path, words in (
        (foreign, "the proof is of"),
        (nothing, "is no checkpoint"),
        ("gone", "cannot be read"),
    ):
        ended = await desk.run("history", "consistency", "--old", path, by="acme")
        assert (ended.code, words in ended.err) == (2, True)


async def test_our_side_is_told_to_name_the_partner_as_an_option(desk: Desk) -> None:
    ended = await desk.run("history", "consistency", "--old", "1")
    assert (ended.code, "--partner NAME" in ended.err) == (3, True)


async def test_a_checkpoint_of_an_epoch_that_is_over_is_asked_for_in_its_own(desk: Desk) -> None:
    await grow(desk, 1)
    old, pin = await checkpoint(desk)
    await grow(desk, 2)
    origin = read_checkpoint((desk.shell.folder / "checkpoint").read_bytes())[0].origin
    await begin_second(desk, origin)
    growth = str(desk.shell.folder / "growth")
    saved = await desk.run("history", "consistency", "--old", old, "-o", growth, by="acme")
    assert saved.code == 0, saved.err
    ended = desk.shell.run("verify", "--old", old, "--consistency", growth, "--log-key", pin)
    assert (ended.code, ended.out.splitlines()[0]) == (0, "proved")
    newest = await desk.run("history", "consistency", "--old", "0", by="acme")
    assert f"{origin.removesuffix('1')}2" in newest.out
    first = await desk.run("history", "consistency", "--old", "1", "--epoch", "1", by="acme")
    assert (first.code, origin in first.out) == (0, True)
    none = await desk.run("history", "consistency", "--old", "1", "--epoch", "7", by="acme")
    assert none.code == 4
    both = await desk.run("history", "consistency", "--old", old, "--epoch", "2", by="acme")
    assert (both.code, "--epoch" in both.err) == (2, True)


async def begin_second(desk: Desk, origin: str) -> None:
    """As `gateway log new-epoch` does it, and waits until it is published."""
    parts = desk.house.world.parts
    log = origin.rpartition("/")[0]
    with parts.ground.database.begin() as session:
        before = audit_log.state(session, origin)
        opening = Opening(f"{log}/2", audit_log.published_of(before)[0], "a key had leaked")
        evidence = make_evidence(
            Kind.EPOCH_OPENED,
            members_of(opening),
            iss=parts.ground.settings.origin,
            log=log,
            at=parts.ground.clock(),
            salt=bytes(32),
        )
        open_epoch(session, evidence, after=before, is_behind=False)
    await parts.sequencer.checkpoints.publish([f"{log}/2"])
