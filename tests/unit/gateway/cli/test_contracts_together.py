"""Contracts of one folder that lean on each other: forwards are judged against the whole set."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.unit.gateway.cli.conftest import Desk

NARROW = {"type": "record", "name": "Other", "fields": [{"name": "no_such", "type": "string"}]}
SENDS = """\
sends:
  order.placed:
    {{schema: order.avsc, id: /order_id, forward: {{to: {to}, as: order.received}}}}
"""
RECEIVES = "receives:\n  order.received: {schema: order.avsc, id: /order_id}\n"


def write(desk: Desk, slug: str, *, to: str | None = None, receives: str = RECEIVES) -> str:
    """A contract that forwards to another partner, or to none; returns the folder of all of them."""
    sends = "" if to is None else SENDS.format(to=to)
    path = desk.contract(slug, text=f"gateway: v1\npartner: acme\n{sends}{receives}")
    return str(Path(path).parent)


async def test_a_partner_that_is_new_too_may_be_forwarded_to(desk: Desk) -> None:
    write(desk, "aaa", to="bbb", receives="")
    folder = write(desk, "bbb")
    planned = await desk.run("plan", "-f", folder)
    assert (planned.code, planned.err.count("cannot be applied")) == (0, 0)
    assert "2 contracts: 2 to change, 0 blocked." in planned.out
    applied = await desk.run("apply", "-f", folder, "--yes", "--json")
    assert (applied.code, [one["revision"] for one in applied.document()["items"]]) == (0, [1, 1])
    assert [one["partner"] for one in applied.document()["items"]] == ["bbb", "aaa"]
    assert (await desk.run("diff", "-f", folder)).code == 0


async def test_a_type_that_its_receiver_is_to_get_may_be_forwarded_as(desk: Desk) -> None:
    folder = write(desk, "aaa", receives="")
    write(desk, "bbb", receives="")
    assert (await desk.run("apply", "-f", folder, "--yes")).code == 0
    write(desk, "aaa", to="bbb", receives="")
    write(desk, "bbb")
    assert (await desk.run("plan", "-f", folder)).code == 0
    assert (await desk.run("apply", "-f", folder, "--yes")).code == 0
    assert (await desk.run("diff", "-f", folder)).code == 0


async def test_partners_that_forward_to_each_other_are_begun_from_one_folder(desk: Desk) -> None:
    write(desk, "aaa", to="bbb")
    write(desk, "ccc", to="aaa", receives="")
    folder = write(desk, "bbb", to="aaa")
    assert (await desk.run("plan", "-f", folder)).code == 0
    applied = await desk.run("apply", "-f", folder, "--yes")
    assert (applied.code, applied.err.count("without a file here: acme")) == (0, 1)
    assert (await desk.run("diff", "-f", folder)).code == 0


async def test_partners_in_force_that_are_to_forward_to_each_other_receive_first(desk: Desk) -> None:
    """What went on before its type is there would be refused at its receiver: here it would not wait."""
    pair = {"aaa": "bbb", "bbb": "aaa"}

    async def told(*words: str, receives: str = RECEIVES, is_forwarded: bool = True) -> tuple[int, str]:
        for slug, to in pair.items():
            folder = write(desk, slug, to=to if is_forwarded else None, receives=receives)
        ended = await desk.run(*words, "-f", folder)
        return ended.code, ended.err

    apply = ("apply", "--yes")
    assert (await told(*apply, receives="", is_forwarded=False))[0] == 0
    for words in (("plan",), apply):
        code, err = await told(*words)
        assert (code, "bbb receives no order.received: add it to its contract first" in err) == (6, True)
    for is_forwarded in (False, True):
        code, err = await told(*apply, is_forwarded=is_forwarded)
        assert code == 0, err
    assert (await desk.run("diff", "-f", write(desk, "aaa", to="bbb"))).code == 0


async def test_what_the_other_is_to_receive_has_to_read_what_goes_on(desk: Desk) -> None:
    write(desk, "aaa", to="bbb", receives="")
    folder = write(
        desk, "bbb", receives=RECEIVES.replace("order.avsc", "o.avsc").replace("/order_id", "/no_such")
    )
    desk.shell.write("fleet/o.avsc", NARROW)
    for words in (("plan",), ("apply", "--yes")):
        ended = await desk.run(*words, "-f", folder)
        assert ended.code == 6
        assert "! sends order.placed  bbb cannot read it as order.received" in ended.out
        assert "bbb   contract 1 (new partner)" in ended.out
    assert (await desk.run("partners", "show", "bbb")).code == 4


async def test_what_is_not_in_the_set_and_one_that_is_closed_are_missed_still(desk: Desk) -> None:
    write(desk, "aaa", to="nobody", receives="")
    write(desk, "ccc", to="bbb", receives="")
    folder = write(desk, "bbb")
    await desk.run("apply", "-f", str(Path(folder) / "bbb.yaml"), "--yes")
    await desk.run("partners", "close", "bbb", "--reason", "ended", "--yes")
    ended = await desk.run("plan", "-f", folder)
    assert ended.code == 6
    assert "aaa.yaml:5: /sends/order.placed/forward/to: there is no partner nobody" in ended.err
    closed = "bbb is closed, and receives nothing any more: remove the forward"
    assert f"ccc.yaml:5: /sends/order.placed/forward/to: {closed}" in ended.err
    assert "'bbb' is closed" in ended.err


@pytest.mark.parametrize("words", [("plan",), ("diff",), ("apply", "--yes")])
async def test_one_that_is_refused_hides_no_plan_of_the_others_and_none_is_applied(
    desk: Desk, words: tuple[str, ...]
) -> None:
    write(desk, "aaa", to="nobody")
    folder = write(desk, "bbb")
    ended = await desk.run(*words, "-f", folder)
    assert ended.code == 6
    assert "bbb   contract 1 (new partner)" in ended.out
    assert "2 contracts: 1 to change, 1 blocked." in ended.out
    assert f"{folder}/aaa.yaml cannot be applied as it is:\n  contract_invalid:" in ended.err
    assert (await desk.run("partners", "show", "bbb")).code == 4
    shown = (await desk.run(*words, "-f", folder, "--json")).document()
    assert [one["partner"] for one in shown["items"]] == ["bbb"]
    (refused,) = shown["refused"]
    assert (refused["partner"], refused["problem"]["code"]) == ("aaa", "contract_invalid")


async def test_a_forward_that_waits_for_its_receiver_is_judged_when_this_comes(desk: Desk) -> None:
    write(desk, "aaa", to="bbb")
    folder = write(desk, "bbb", to="aaa")
    only = str(Path(folder) / "aaa.yaml")
    text = await asyncio.to_thread(Path(only).read_text)
    other = await asyncio.to_thread((Path(folder) / "bbb.yaml").read_text)
    schema = await asyncio.to_thread((Path(folder) / "order.avsc").read_text)
    companion = {"contract": other, "files": {"order.avsc": schema}}
    files = {"order.avsc": schema}
    async with desk.house.client("operator") as operator:
        put = await operator.put(
            "/v1/partners/aaa/contract", json={"contract": text, "files": files, "beside": [companion]}
        )
        assert put.status_code == 201, put.text
        narrow = {
            "contract": "gateway: v1\npartner: bbb\n"
            "receives:\n  order.received: {schema: order.avsc, id: /no_such}\n",
            "files": {"order.avsc": json.dumps(NARROW)},
        }
        refused = await operator.put("/v1/partners/bbb/contract", json=narrow)
        assert (refused.status_code, refused.json()["code"]) == (409, "schema_incompatible")
        assert "aaa forwards its order.placed, which this cannot read" in refused.text
        listed: tuple[object, ...] = ({}, [1], [{}], [{**companion, "first": 1}], [{**companion, "more": 1}])
        for wrong in listed:
            asked = {"contract": text, "files": files, "beside": wrong}
            answer = await operator.put("/v1/partners/aaa/contract", json=asked)
            assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid"), wrong
