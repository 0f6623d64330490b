"""What is owed of another partner's events while contracts change, and that nothing is told of the others."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from audit.pressing import expand
from audit.rows import EntryRow
from gateway.address import AddressPolicy
from gateway.administration.endpoints import Asked, Backlog, Endpoints
from gateway.broker.port import BrokerError
from gateway.errors import AwayError
from gateway.event import Direction
from gateway.ingress.accept import Submission
from gateway.ingress.draft import Draft
from gateway.ingress.outcome import Accepted
from gateway.rows import AnnouncementRow, ClaimRow
from partners import onboarding
from partners.endpoint import EndpointState
from partners.onboarding import set_endpoint_state
from partners.rows import ContractRow, PartnerRow
from tests.unit.gateway.egress.test_feeds import (
    FORWARDING,
    GLOBEX,
    RECEIVED,
    apply_globex,
    entries,
    hooks,
    house_endpoint,
    log_of,
    placed,
    positioned,
    relaying,
    until,
)
from tests.unit.gateway.egress.test_feeds_agreed import FILES, ONE, SECRET, keep, with_secrets
from tests.unit.gateway.egress.test_feeds_replayed import THEIRS, asking, counts, replayed
from tests.world import CONTRACT, OPERATOR, ORDER, World, draft, running

NONE = CONTRACT.replace("receives:", f"{SECRET}receives:", 1)
"""The same types, and none of them goes on."""

GONE = NONE.replace("  order.placed: {schema: order.avsc, id: /order_id, key: /customer}\n", "")
DESTRUCTIVE = frozenset({"destructive"})


async def put(world: World, state: EndpointState) -> None:
    """The one endpoint of globex into a state."""
    (one,) = world.parts.catalog.current.directory.endpoints("globex")
    change = partial(set_endpoint_state, owner="globex", endpoint_id=one.id, state=state)
    await world.parts.ground.database.write(change)
    await world.parts.catalog.refresh()


async def told_to_globex(world: World) -> str:
    """All that globex can read of anything: its log, and what the gateway tells it as events."""
    name = log_of(world, "globex")

    def look(session: Session) -> list[bytes]:
        mine = select(col(EntryRow.evidence)).where(col(EntryRow.log) == name)
        found = [expand(raw) for raw in session.execute(mine).scalars() if raw is not None]
        events = select(col(ClaimRow.receipt), col(ClaimRow.datum)).where(col(ClaimRow.partner) == "globex")
        for receipt, datum in session.execute(events):
            found += [receipt.encode(), datum or b""]
        return found

    return "\n".join(map(repr, await world.parts.ground.database.read(look)))


async def begun(stack: AsyncExitStack, folder: Path) -> World:
    """A world that relays, in another process than before."""
    await stack.aclose()
    world = await stack.enter_async_context(running(folder))
    await stack.enter_async_context(relaying(world))
    return world


async def paused(stack: AsyncExitStack, folder: Path, url: str) -> World:
    """A world that relays, where the one endpoint of globex has been paused since before."""
    world = await stack.enter_async_context(running(folder))
    await with_secrets(world, url)
    await world.apply(ONE, FILES)
    await put(world, "paused")
    await stack.enter_async_context(relaying(world))
    return world


async def test_what_is_drained_for_a_partner_tells_it_nothing_of_what_lies_beside(tmp_path: Path) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await paused(stack, tmp_path, at.url)
            await placed(world, "A-1")
            await keep(world, "S-1")
            await placed(world, "A-2")
            await positioned(world, 3)
            await put(world, "active")
            await until(lambda: len(at.got) == 2, str(at.got))
            await placed(world, "A-3")
            await entries(world, "delivery.attempted", 3)
            async with asking(world) as client:
                listed = (await client.get("/v1/partners/globex/deliveries", params={"limit": 1000})).text
            told, refused = await told_to_globex(world), await entries(world, "event.refused")
    assert sorted(at.ids("/globex")) == ["A-1", "A-2", "A-3"]
    assert refused == []
    assert "A-3" in told
    assert "A-3" in listed
    assert "S-1" not in told + listed


async def test_what_was_owed_when_the_forward_went_is_delivered_and_nothing_else(tmp_path: Path) -> None:
    """By a relay that does not read the topic live any more."""
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await paused(stack, tmp_path, at.url)
            await placed(world, "A-1")
            await keep(world, "S-1")
            await placed(world, "A-2")
            await entries(world, "event.forwarded", 2)
            await world.apply(NONE, FILES)
            await placed(world, "B-1")
            await positioned(world, 4)
            world = await begun(stack, tmp_path)
            await put(world, "active")
            await until(lambda: len(at.got) >= 2, str(at.got))
            await entries(world, "delivery.attempted", 2)
            told, refused = await told_to_globex(world), await entries(world, "event.refused")
    assert sorted(at.ids("/globex")) == ["A-1", "A-2"]
    assert {body["type"] for _, _, body in at.got} == {"order.received"}
    assert refused == []
    assert "A-2" in told
    assert "S-1" not in told
    assert "B-1" not in told


async def test_what_was_accepted_while_nothing_was_forwarded_stays_where_it_is(tmp_path: Path) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await paused(stack, tmp_path, at.url)
            await placed(world, "A-1")
            await entries(world, "event.forwarded", 1)
            await world.apply(NONE, FILES)
            await keep(world, "S-1")
            await placed(world, "B-1")
            await world.apply(ONE, FILES)
            await placed(world, "A-2")
            await entries(world, "event.forwarded", 2)
            await put(world, "active")
            await until(lambda: len(at.got) >= 2, str(at.got))
            await entries(world, "delivery.attempted", 2)
            told, forwarded = await told_to_globex(world), await entries(world, "event.forwarded")
    assert sorted(at.ids("/globex")) == ["A-1", "A-2"]
    assert {one.text("id") for one in forwarded} == {"A-1", "A-2"}
    assert "B-1" not in told


async def test_what_was_owed_of_a_type_that_its_sender_has_no_more_is_delivered(tmp_path: Path) -> None:
    """By a relay that does not read the topic at all any more."""
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await paused(stack, tmp_path, at.url)
            await placed(world, "A-1")
            await keep(world, "S-1")
            await entries(world, "event.forwarded", 1)
            await world.apply(GONE, FILES, allow=DESTRUCTIVE)
            world = await begun(stack, tmp_path)
            await put(world, "active")
            await until(lambda: bool(at.got), "what was owed")
            await entries(world, "delivery.attempted", 1)
            told, refused = await told_to_globex(world), await entries(world, "event.refused")
    assert (at.ids("/globex"), refused) == (["A-1"], [])
    assert "S-1" not in told


async def test_what_is_owed_of_a_type_that_its_receiver_has_no_more_is_refused_by_its_name_and_no_place(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await paused(stack, tmp_path, at.url)
            await placed(world, "A-1")
            await keep(world, "S-1")
            (forwarded,) = await entries(world, "event.forwarded", 1)
            await apply_globex(
                world, f"{at.url}/globex", text=GLOBEX.replace("order.received:", "order.other:")
            )
            world = await begun(stack, tmp_path)
            await put(world, "active")
            (refused,) = await entries(world, "event.refused", 1)
            told, globex = await told_to_globex(world), log_of(world, "globex")
    assert at.got == []
    assert (refused.log, refused.ref) == (globex, forwarded.ref)
    assert [refused.text(name) for name in ("id", "type", "code")] == [
        "A-1",
        "order.received",
        "event_type_unknown",
    ]
    assert refused.members["record"] is None
    assert "S-1" not in told


@pytest.mark.parametrize("ahead_ms", [-8_000, 8_000])
async def test_no_clock_says_whether_an_event_came_before_the_forward(tmp_path: Path, ahead_ms: int) -> None:
    """Whoever applied the contract has a clock that is ahead of the one who accepts, or behind."""
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply()
            await placed(world, "before")
            await world.apply(FORWARDING)
            await placed(world, "after")
            at_another = col(ContractRow.applied_at) + ahead_ms
            applied = update(ContractRow).where(col(ContractRow.partner) == "acme")
            with world.parts.ground.database.begin() as session:
                session.execute(applied.values(applied_at=at_another))
        async with running(tmp_path) as world, relaying(world), asking(world) as client:
            (forwarded,) = await entries(world, "event.forwarded", 1)
            await until(lambda: bool(at.got), "forwarded")
            await placed(world, "last")
            await until(lambda: "last" in at.ids("/globex"), str(at.got))
            again = await replayed(client, THEIRS, which="all")
    assert at.ids("/globex")[:2] == ["after", "last"]
    assert forwarded.text("id") == "after"
    assert counts(again) == {"handed": 2}


async def test_nothing_is_given_away_by_a_contract_that_the_database_has_lost(tmp_path: Path) -> None:
    """As after a restore: what was accepted by it comes with a replay, once it is applied again."""
    other = FORWARDING.replace("GmbH", "AG")
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await placed(world, "A-1")
            await world.apply(other)
            await placed(world, "A-2")

            def lose(session: Session) -> None:
                session.delete(session.get_one(ContractRow, ("acme", 2)))
                session.execute(update(PartnerRow).where(col(PartnerRow.slug) == "acme").values(revision=1))
                session.execute(delete(AnnouncementRow))

            await world.parts.ground.database.write(lose)
        async with running(tmp_path) as world, relaying(world), asking(world) as client:
            await placed(world, "A-3")
            await entries(world, "delivery.attempted", 2)
            await world.apply(other)
            assert counts(await replayed(client, THEIRS)) == {"handed": 1, "delivered": 2}
            await until(lambda: len(at.got) == 3, str(at.got))
    assert sorted(at.ids("/globex")[:2]) == ["A-1", "A-3"]
    assert at.ids("/globex")[2:] == ["A-2"]


async def test_what_is_given_up_when_an_endpoint_goes_on_is_what_others_forward_too(tmp_path: Path) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await paused(stack, tmp_path, at.url)
            desk = Endpoints(world.parts.administration, AddressPolicy((), (), loopback=True))
            (one,) = world.parts.catalog.current.directory.endpoints("globex")
            asked = Asked("globex", one.id, OPERATOR)
            await placed(world, "A-1")
            await keep(world, "S-1", "S-2")
            await placed(world, "A-2")
            await positioned(world, 4)
            partner = world.parts.catalog.current.directory.partner("globex")
            assert partner is not None
            edit = await desk.resume(asked, partner, Backlog("skip"))
            await placed(world, "A-3")
            cancelled = await entries(world, "delivery.cancelled", 2)
            await until(lambda: bool(at.got), "what came later")
    assert (edit.waiting, edit.skipped) == (2, 2), "and not how many the other has sent"
    assert at.ids("/globex") == ["A-3"]
    assert sorted(one.text("id") or "" for one in cancelled) == ["A-1", "A-2"]


async def test_what_a_partner_had_sent_before_it_was_closed_goes_on(tmp_path: Path) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await paused(stack, tmp_path, at.url)
            await placed(world, "A-1")
            await entries(world, "event.forwarded", 1)
            await stack.aclose()
            async with running(tmp_path) as world:
                await house_endpoint(world, f"{at.url}/desk")
                await placed(world, "A-2")
                close = partial(onboarding.set_partner_state, slug="acme", state="closed")
                await world.parts.ground.database.write(close)
            world = await begun(stack, tmp_path)
            await put(world, "active")
            await until(lambda: len(at.got) == 3, str(at.got))
    assert sorted(at.ids("/globex")) == ["A-1", "A-2"]
    assert at.ids("/desk") == ["A-2"]


async def test_an_event_goes_on_once_and_is_nobody_elses_of_the_same_name(tmp_path: Path) -> None:
    """Both forward to each other; and we send globex an event of acme's source and id."""
    back = (
        "sends:\n  order.back: {schema: order.avsc, id: /order_id, forward: {to: acme, as: order.accepted}}\n"
    )
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await begun(stack, tmp_path)
            await apply_globex(world, f"{at.url}/globex")
            hook = f'endpoints:\n  verification: none\n  declared: [{{name: one, url: "{at.url}/acme"}}]\n'
            await world.apply(FORWARDING + hook)
            text = GLOBEX.replace("receives:", f"{back}receives:") + hook.replace("/acme", "/globex")
            files = {"received.avsc": json.dumps(RECEIVED), "order.avsc": json.dumps(ORDER)}
            await world.apply(text, files, slug="globex")
            await placed(world, "A-1")
            ingress, body = world.parts.ingress, {"order_id": "A-1", "qty": 2}
            ours = draft({**body, "note": "ours"}, "order.received", source="/partners/acme")
            theirs = draft(body, "order.back")
            pairs: list[tuple[Direction, Draft]] = [("outbound", ours), ("inbound", theirs)]
            for direction, one in pairs:
                sent = Submission(
                    "globex",
                    direction,
                    (one,),
                    strict=True,
                    dry_run=False,
                    method="api_key",
                    credential="crd_1",
                    idempotency_key=None,
                )
                (outcome,) = await ingress.accept(sent)
                assert isinstance(outcome, Accepted), outcome
            await until(lambda: len(at.got) == 3, str(at.got))
            forwarded = await entries(world, "event.forwarded", 2)
            attempted = await entries(world, "delivery.attempted", 3)
            logs = {slug: log_of(world, slug) for slug in ("acme", "globex")}
    assert sorted((path, body["source"], body["type"]) for path, _, body in at.got) == [
        ("/acme", "/partners/globex", "order.accepted"),
        ("/globex", "/partners/acme", "order.received"),
        ("/globex", "/partners/acme", "order.received"),
    ]
    assert len({webhook_id for _, webhook_id, _ in at.got}) == 3
    assert {one.log for one in forwarded} == set(logs.values())
    assert Counter(one.log for one in attempted) == {logs["acme"]: 1, logs["globex"]: 2}


async def test_what_a_closed_partner_has_left_and_is_gone_keeps_no_endpoint_from_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await paused(stack, tmp_path, at.url)
            close = partial(onboarding.set_partner_state, slug="acme", state="closed")
            await world.parts.ground.database.write(close)
            await world.parts.catalog.refresh()
            bounds = type(world.parts.broker).bounds

            async def without_acme(broker: Any, places: Sequence[tuple[str, int]]) -> Any:
                if any("acme" in topic for topic, _ in places):
                    raise BrokerError(code, "the test said so")
                return await bounds(broker, places)

            monkeypatch.setattr(type(world.parts.broker), "bounds", without_acme)
            desk = Endpoints(world.parts.administration, AddressPolicy((), (), loopback=True))
            (one,) = world.parts.catalog.current.directory.endpoints("globex")
            partner = world.parts.catalog.current.directory.partner("globex")
            assert partner is not None
            asked = Asked("globex", one.id, OPERATOR)
            code: Any = "broker_unavailable"
            with pytest.raises(AwayError):
                await desk.resume(asked, partner, Backlog("skip"))
            code = "topic_unknown"
            edit = await desk.resume(asked, partner, Backlog("skip"))
    assert (edit.endpoint.state, edit.skipped) == ("active", 0)
