"""The first chapters: contracts, what partners send, and what happens when they send it wrong or twice."""

from collections.abc import Sequence
from typing import Any

from gateway.cli.demo_http import Party, Reply
from gateway.cli.demo_material import EXAMPLES, Sendable, as_lines, batches, broken, changed
from gateway.cli.demo_scene import LINES, PARTNERS, PRICE, SHIPPED, Scene
from gateway.cli.demo_words import DemoError, shorten
from gateway.contract_folder import load_contract

BATCH = 500
_RECEIVER_PLACE = "127.0.0.1:8099"
_JSON = "application/json"
_FAULT_COLUMNS = ("pointer", "code", "detail")


async def agree(scene: Scene, receiver_port: int) -> None:
    """Plan and apply both contracts, and make a key for each partner."""
    tell = scene.tell
    tell.say("Two YAML files say what was agreed with two partners. A plan changes nothing; apply does.")
    for slug in PARTNERS:
        tell.command(f"gateway plan -f examples/{slug}.yaml", f"gateway apply -f examples/{slug}.yaml")
        local = load_contract(EXAMPLES / f"{slug}.yaml")
        text = local.text.replace(_RECEIVER_PLACE, f"127.0.0.1:{receiver_port}")
        sent = {"contract": text, "files": dict(local.files), "file_name": local.name}
        path = f"/v1/partners/{slug}/contract"
        plan = (await scene.operator.put(path, sent, dry_run="true")).expect(200)
        tell.block(str(plan.document["plan"]))
        done = (await scene.operator.put(path, sent)).expect(201)
        for secret in done.document["secrets"]:
            scene.stage.keep_secret(str(secret["secret"]))
            tell.say(f"  The secret of the endpoint {secret['endpoint']} is shown once; the receiver got it.")
    for slug in PARTNERS:
        tell.command(f"gateway credentials create --partner {slug}")
        made = (await scene.operator.post(f"/v1/partners/{slug}/credentials", {"role": "partner"})).expect(
            201
        )
        scene.partners[slug] = Party(scene.stage.url, scene.stage.ca_file, str(made.document["secret"]))


async def send_orders(scene: Scene) -> None:
    """Acme sends one shipment and looks at the answer; then all the others."""
    tell, shipments = scene.tell, scene.material.shipments
    tell.say(
        "Acme sends a shipment of an order: JSON in; checked, signed and kept as Avro on Acme's own topic."
    )
    tell.command(
        f"curl --cacert CA -H 'Authorization: Bearer KEY' "
        f"{scene.stage.url}/v1/events/{SHIPPED} --json @order.json"
    )
    # 200 where an answer was lost on the way to a busy machine, and it was sent again.
    first = (await send_one(scene, shipments[0])).expect(200, 201)
    tell.answer(first.status, first.document, "ref", "id", "received_at", "receipt", "record")
    scene.receipts["acme", "inbound", shipments[0].id] = str(first.document["receipt"])
    tell.say("The receipt is signed: whoever holds it can prove later that the gateway took this very event.")
    rest = shipments[1:]
    tell.say(f"The other {len(rest)} go in batches, one event a line.")
    tell.command(f"gateway send {SHIPPED} @examples/data/orders.jsonl --batch")
    await send_all(scene, "acme", rest, words="shipments")


async def send_prices(scene: Scene, prices: Sequence[Sendable]) -> None:
    """Globex sends prices."""
    scene.tell.say(
        f"Globex sends {len(prices)} daily prices of shares, {BATCH} a batch. They carry no id of their own: "
        "the contract says that share and day name a price."
    )
    scene.tell.command(f"gateway send {PRICE} @prices.ndjson --batch")
    await send_all(scene, "globex", prices, words="prices")


async def make_mistakes(scene: Scene) -> None:
    """A wrong event, the same event twice, and the same id with another content."""
    tell, sample = scene.tell, scene.material.shipments[0]
    tell.say("A shipment with mistakes is refused, every mistake with its place, and no value repeated:")
    refused = (await send_one(scene, broken(sample))).expect(422)
    tell.answer(refused.status, refused.document, "code", "detail", "hint")
    faults: list[dict[str, Any]] = refused.document["errors"]
    tell.table(_FAULT_COLUMNS, [[fault[name] for name in _FAULT_COLUMNS] for fault in faults])
    wanted = {
        "/country",
        "/contry",
        "/dates/delivered_to_client",
        "/lines/0/freight_cost_usd",
        "/lines/0/line_item_quantity",
    }
    pointers = {str(fault["pointer"]) for fault in faults}
    if not wanted <= pointers:
        raise DemoError(f"a refusal does not name {', '.join(sorted(wanted - pointers))}")
    tell.say("Acme did not see the answer, and sends the same shipment again:")
    repeat = (await send_one(scene, sample)).expect(200)
    tell.answer(repeat.status, repeat.document, "duplicate", "ref", "receipt")
    if repeat.document["receipt"] != scene.receipts["acme", "inbound", sample.id]:
        raise DemoError("a repeated event got another receipt")
    tell.good("one event, one receipt: byte for byte the first one")
    tell.say("The same id with another price is no repeat:")
    conflict = (await send_one(scene, changed(sample))).expect(409)
    tell.answer(conflict.status, conflict.document, "code", "detail", "hint")


async def send_one(scene: Scene, event: Sendable) -> Reply:
    """Acme sends one shipment."""
    return await scene.partners["acme"].send_surely(f"/v1/events/{SHIPPED}", event.content, _JSON)


async def send_all(scene: Scene, slug: str, events: Sequence[Sendable], *, words: str) -> None:
    """Send in batches, each until it is answered, and keep the receipts."""
    path = f"/v1/events/{SHIPPED if slug == 'acme' else PRICE}"
    with scene.tell.waiting(words, len(events)) as shown:
        done = 0
        for batch in batches(events, BATCH):
            reply = await scene.partners[slug].send_surely(path, as_lines(batch), LINES)
            scene.receipts |= keyed_receipts(reply, slug, "inbound", batch)
            done += len(batch)
            shown(done)
    scene.tell.good(f"{done} {words} taken; the first receipt begins {shorten(_any_receipt(scene, slug))}")


def keyed_receipts(
    reply: Reply, slug: str, direction: str, batch: Sequence[Sendable]
) -> dict[tuple[str, str, str], str]:
    """The receipts of a batch by partner, direction and event id.

    Raises:
        DemoError: an event of it was not taken.
    """
    results: list[dict[str, Any]] = reply.expect(200).document["results"]
    if len(results) != len(batch) or not all("receipt" in one for one in results):
        raise DemoError(f"a batch of {len(batch)} events was not answered with as many receipts")
    return {(slug, direction, batch[one["index"]].id): str(one["receipt"]) for one in results}


def _any_receipt(scene: Scene, slug: str) -> str:
    return next(text for (partner, _, _), text in scene.receipts.items() if partner == slug)
