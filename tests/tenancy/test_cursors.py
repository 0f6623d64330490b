"""Cursors of every list of the route table: good for that list, partner and filter, and for nothing else."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest
import pytest_asyncio

from gateway.http.gates import GATES
from gateway.http.guard import Gate
from partners.endpoint import house_of
from tests.builders import CONTRACTS, House, open_house
from tests.importing import NDJSON, ended, lines, working
from tests.tenancy.test_tenancy import owe
from tests.world import ORDER

LISTS: Final = [gate for gate in GATES if "cursor" in gate.offered]
SLUGS: Final = ("acme", "globex")
FILTERS: Final = {
    "credential": "crd_x",
    "digest": "0" * 64,
    "direction": "outbound",
    "endpoint": "ep_x",
    "expires_before": "2099-01-01",
    "failing": "true",
    "id": "L-1",
    "key": "L-1",
    "kind": "event.accepted",
    "reason": "timed_out",
    "ref": "evt_" + "a" * 52,
    "since": "2026-01-01T00:00:00Z",
    "source": "/partners/acme",
    "state": "accepted",
    "type": "order.placed",
    "types": "order.accepted",
    "until": "2099-01-01T00:00:00Z",
}
"""A value of each filter. A list with another one gets a line here."""

OTHER_WORDS: Final = {
    ("credentials", "state"): "active",
    ("deliveries", "state"): "parked",
    ("endpoints", "state"): "unverified",
    ("house-deliveries", "state"): "parked",
    ("house-endpoints", "state"): "active",
}
"""What a filter of the same name is given in some lists."""

NEEDED: Final = {"/v1/partners/-/history": (("id", "L-1"),)}
"""What a list is never asked without."""

TWO_LISTS: Final = frozenset({"listImports", "readStream"})
"""A partner sees what it sent; our side what it sent itself, too. Each side's stream is what it receives."""

NO_FILTERS: Final = frozenset({"consumer", "cursor", "from", "limit", "over_gap", "wait"})
CHANGED: Final = CONTRACTS.replace("name: The company", "name: Another name")


Means = tuple[str, str, tuple[tuple[str, str], ...]]
"""What a cursor is bound to: list, partner, filter."""


@dataclass(frozen=True)
class Asking:
    """One list, asked by somebody for some partner under one filter."""

    gate: Gate
    by: str
    slug: str
    path: str
    named: tuple[tuple[str, str], ...]

    def means(self) -> Means:
        """What a cursor is bound to: a partner's own path and that under its name are one list."""
        told = self.gate.told
        operation = "" if told is None else told.operation
        return (
            f"{operation} {self.gate.side}" if operation in TWO_LISTS else operation,
            self.slug,
            self.named,
        )


def asked() -> Iterator[Asking]:
    for gate in LISTS:
        names = sorted(gate.offered - NO_FILTERS)
        kind = gate.path.rpartition("/")[2]
        # What our side receives has other types than what a partner does.
        filters = FILTERS | ({"types": "order.placed"} if gate.side == "named" else {})
        needed = NEEDED.get(gate.path, ())
        given = {name: OTHER_WORDS.get((kind, name), filters[name]) for name in names}
        more = (((name, word),) for name, word in given.items() if name not in dict(needed))
        for named in (needed, *((*needed, *one) for one in more)):
            if gate.side == "house":
                yield Asking(gate, "operator", "", gate.path, named)
                continue
            for slug in SLUGS:
                by = slug if gate.side == "own" else "operator"
                yield Asking(gate, by, slug, gate.path.replace("{p}", slug), named)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Two of everything that is listed, for two partners."""
    folder: Path = tmp_path_factory.mktemp("cursors")
    files = {"order.avsc": json.dumps(ORDER)}
    async with open_house(folder, partners=SLUGS) as opened:
        for slug in SLUGS:
            await opened.world.apply(CHANGED.replace("{slug}", slug), files, slug)
            await opened.issue(f"second of {slug}", "auditor", slug)
            async with opened.client(slug) as client:
                for number in (1, 2):
                    order = {"order_id": f"L-{number}", "qty": 1}
                    sent = await client.post("/v1/events/order.placed", json=order)
                    await client.get(f"{sent.headers['location']}/proof?wait=10")
                    opened.keys[f"ref {slug}"] = sent.json()["ref"]
                    owe(opened, slug, f"ep_{slug}{number}")
                    await client.post("/v1/replays", json={"since": "1h"})
                    await client.post("/v1/exports", json={})
                    hook = await client.post("/v1/endpoints", json={"url": f"https://{slug}.example/in"})
                opened.keys[f"endpoint {slug}"] = hook.json()["id"]
                await client.post(f"{hook.headers['location']}/secrets", json={})
            async with opened.client("team") as client:
                ours = f"/v1/partners/{slug}/house-endpoints"
                for number in (1, 2):
                    hook = await client.post(ours, json={"url": f"https://{slug}{number}.house.example/in"})
                opened.keys[f"house endpoint {slug}"] = hook.json()["id"]
                await client.post(f"{ours}/{hook.json()['id']}/secrets", json={})
                for _ in range(2):
                    await client.post(f"/v1/partners/{slug}/house-replays", json={"since": "1h"})
            for number in (1, 2):
                owe(opened, slug, f"ep_house{slug}{number}", owner=house_of(slug))
        await hold_twice(opened)
        async with working(opened.world.parts.importer):
            for slug in SLUGS:
                async with opened.client(slug) as client:
                    for prefix in ("I", "J"):
                        body = lines((1, 2), prefix)
                        made = await client.post(
                            "/v1/imports?type=order.placed", content=body, headers=NDJSON
                        )
                        await ended(client, made.headers["location"])
                    opened.keys[f"import {slug}"] = made.json()["id"]
        yield opened


async def hold_twice(opened: House) -> None:
    """Two holds on an event of each partner, and two erasures that wait for them."""
    async with opened.client("operator") as client:
        for slug in SLUGS:
            wanted = {"refs": [opened.keys[f"ref {slug}"]], "basis": "case 17"}
            for _ in (1, 2):
                await client.post(f"/v1/partners/{slug}/holds", json=wanted)
            for _ in (1, 2):
                waits = {**wanted, "when_held": "wait"}
                made = await client.post(f"/v1/partners/{slug}/erasures", json=waits)
                assert made.status_code == 202, made.text


async def ask(house: House, one: Asking, **more: str) -> httpx.Response:
    async with house.client(one.by) as client:
        things = {"house-endpoints": "house endpoint", "/endpoints": "endpoint", "": "import"}
        thing = next(thing for part, thing in things.items() if part in one.path)
        path = one.path.replace("{id}", house.keys.get(f"{thing} {one.slug}", ""))
        return await client.get(path, params={"limit": 1, **dict(one.named), **more})


def tried(mine: Means, cursors: Mapping[Means, str]) -> list[tuple[Means, str]]:
    """Its own, those of the same list for another partner or filter, and one of another list."""
    found = [one for one in cursors if one[0] == mine[0] and (one == mine or not (one[2] and mine[2]))]
    found += [one for one in cursors if one[0] != mine[0] and one[1] == mine[1]][:1]
    return [(one, cursors[one]) for one in found]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cursor_is_good_for_its_list_partner_and_filter_alone(house: House) -> None:
    cursors: dict[Means, str] = {}
    for one in asked():
        body = (await ask(house, one)).json()
        if (cursor := body.get("next") or body.get("cursor")) and one.means() not in cursors:
            cursors[one.means()] = cursor
    # Without a second item there is no cursor that could be tried: give the house one above.
    assert {one.gate.path for one in asked() if is_bare(one) and one.means() not in cursors} == set()
    wrong = []
    for one in asked():
        for means, cursor in tried(one.means(), cursors):
            answer = await ask(house, one, cursor=cursor)
            code = "" if answer.is_success else answer.json()["code"]
            if code != ("" if means == one.means() else "cursor_invalid"):
                wrong.append((one.path, one.named, means, answer.status_code, code))
    assert wrong == []


def is_bare(one: Asking) -> bool:
    """Whether it is asked without a filter that could be left out."""
    return one.named == NEEDED.get(one.gate.path, ())


def test_every_filter_of_a_list_is_tried() -> None:
    assert {name for gate in LISTS for name in gate.offered} - NO_FILTERS <= FILTERS.keys()
    assert len(LISTS) > 8
