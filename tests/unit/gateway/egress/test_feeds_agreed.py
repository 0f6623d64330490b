"""What one partner forwards to another goes on from when on that very line of the contract says so."""

import json
from functools import partial
from pathlib import Path

from gateway.administration.desk import ContractText, Wish
from gateway.ingress.outcome import Accepted
from partners import onboarding
from partners.endpoint import EndpointState
from partners.onboarding import set_endpoint_state
from tests.unit.gateway.egress.test_feeds import (
    FORWARDING,
    GLOBEX,
    RECEIVED,
    apply_globex,
    entries,
    hooks,
    placed,
    relaying,
    until,
)
from tests.unit.gateway.egress.test_feeds_replayed import THEIRS, asking, counts, replayed
from tests.world import OPERATOR, ORDER, World, draft, running

SECRET = "  order.secret: {schema: secret.avsc, id: /order_id, key: /customer}\n"
ONE = FORWARDING.replace("receives:", f"{SECRET}receives:", 1)
BOTH = ONE.replace(
    SECRET, SECRET.replace("/customer}", "/customer, forward: {to: globex, as: order.secrets}}")
)
FILES = {"order.avsc": json.dumps(ORDER), "secret.avsc": json.dumps({**ORDER, "name": "Secret"})}


async def with_secrets(world: World, url: str) -> None:
    """A globex that may receive both types."""
    text = f"{GLOBEX}  order.secrets: {{schema: secret.avsc, id: /order_id}}\n"
    text += "  order.again: {schema: again.avsc, id: /order_id}\n"
    text += f'endpoints:\n  verification: none\n  declared:\n    - {{name: one, url: "{url}/globex"}}\n'
    again, secret = {**RECEIVED, "namespace": "com.again"}, {**RECEIVED, "name": "Secret"}
    schemas = {"received.avsc": RECEIVED, "again.avsc": again, "secret.avsc": secret}
    sent = ContractText(text, "globex.yaml", {name: json.dumps(one) for name, one in schemas.items()})
    await world.parts.administration.put_contract("globex", sent, Wish(), by=OPERATOR)


async def keep(world: World, *ids: str) -> None:
    for one in ids:
        (outcome,) = await world.submit([draft({"order_id": one, "qty": 1}, "order.secret")])
        assert isinstance(outcome, Accepted), outcome


async def test_a_replay_hands_over_nothing_of_before_its_own_line_was_agreed(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world), asking(world) as client:
            await with_secrets(world, at.url)
            await world.apply(ONE, FILES)
            await placed(world, "A-1")
            await keep(world, "S-1")
            await placed(world, "A-2")
            await until(lambda: sorted(at.ids("/globex")) == ["A-1", "A-2"], str(at.got))
            await world.apply(BOTH, FILES)
            await keep(world, "S-2")
            await until(lambda: len(at.got) == 3, str(at.got))
            owed = await replayed(client, THEIRS)
            everything = await replayed(client, THEIRS, which="all")
            await until(lambda: len(at.got) == 6, str(at.got))
    assert counts(owed) == {"delivered": 3}
    assert counts(everything) == {"handed": 3}
    assert (owed["total"], owed["done"]) == (3, 3), "and not how many records acme has sent"
    assert sorted(at.ids("/globex")) == ["A-1", "A-1", "A-2", "A-2", "S-2", "S-2"]


async def test_a_relay_that_reads_late_sends_nothing_of_before_its_own_line_was_agreed(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        async with running(tmp_path) as world:
            await with_secrets(world, at.url)
            await world.apply(ONE, FILES)
            await placed(world, "A-1")
            await keep(world, "S-1")
            # Of what went on under another name before, nothing that is on its way is lost.
            await world.apply(BOTH.replace("as: order.received", "as: order.again"), FILES)
            await keep(world, "S-2")
            async with relaying(world):
                await until(lambda: sorted(at.ids("/globex")) == ["A-1", "S-2"], str(at.got))
                told = await entries(world, "event.forwarded", 2)
    assert {one.text("id") for one in told} == {"A-1", "S-2"}


async def test_what_waited_in_a_range_is_not_joined_by_what_was_not_forwarded_then(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world:
            await with_secrets(world, at.url)
            await world.apply(ONE, FILES)
            (one,) = world.parts.catalog.current.directory.endpoints("globex")

            async def put(state: EndpointState) -> None:
                change = partial(set_endpoint_state, owner="globex", endpoint_id=one.id, state=state)
                await world.parts.ground.database.write(change)
                await world.parts.catalog.refresh()

            await put("paused")
            async with relaying(world):
                await placed(world, "A-1")
                await keep(world, "S-1")
                await placed(world, "A-2")
                await entries(world, "event.forwarded", 2)
                await world.apply(BOTH, FILES)
                await keep(world, "S-2")
                await entries(world, "event.forwarded", 3)
                await put("active")
                await until(lambda: len(at.got) >= 3, str(at.got))
    assert sorted(at.ids("/globex")) == ["A-1", "A-2", "S-2"]


async def test_a_closed_sender_stops_no_replay_of_whom_it_forwarded_to(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await placed(world, "A-1")
            await until(lambda: at.ids("/globex") == ["A-1"], str(at.got))
            await world.parts.ground.database.write(
                lambda session: onboarding.set_partner_state(session, "acme", "closed")
            )
        async with running(tmp_path) as world, relaying(world), asking(world) as client:
            assert counts(await replayed(client, THEIRS, which="all")) == {"handed": 1}
            topic, catalog = "partners.acme.inbound", world.parts.catalog
            catalog.topic_changed(topic, None, was=catalog.current.topic_ids[topic])  # deleted since
            assert counts(await replayed(client, THEIRS, which="all")) == {}
