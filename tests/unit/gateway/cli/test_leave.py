"""What --allow and --prune give leave for, of plans as the gateway answers them and of a gateway itself."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.cli.errors import UsageError
from gateway.cli.leave import PRUNE, Leave, read_leave
from tests.certificates import certified
from tests.unit.gateway.cli.conftest import Desk, Overtaken
from tests.world import CONTRACT

BOLT = CONTRACT.replace("acme", "bolt")
RECEIVES = "receives:\n  order.accepted: {schema: order.avsc, id: /order_id}\n"
SENDS_ONLY = CONTRACT.replace(RECEIVES, "")
OTHER_ID = CONTRACT.replace("id: /order_id, key", "id: required, key")
CERTIFICATE = "authentication: {accept: [api_key, mtls], certificates: [a.pem]}\n"
HOOK = """\
endpoints:
  verification: none
  declared: [{name: hook, url: "http://127.0.0.1:9/hook"}]
"""

REMOVED = {"sign": "-", "destructive": True}
CHANGED = {"sign": "~", "destructive": True}
HARMLESS = {"sign": "~", "destructive": False}


def planned(*differences: object, also: Sequence[str] = ()) -> dict[str, Any]:
    """A plan that is blocked as the gateway would block it."""
    taken = any(one != HARMLESS for one in differences)
    return {"blocked": [*(["destructive"] * taken), *also], "differences": list(differences)}


@pytest.mark.parametrize(
    ("plan", "wanted", "advice"),
    [
        (planned(), set(), ""),
        (planned(HARMLESS), set(), ""),
        (planned(REMOVED, HARMLESS), {PRUNE}, "--prune"),
        (planned(CHANGED), {"destructive"}, "--allow destructive"),
        (planned(CHANGED, REMOVED), {"destructive", PRUNE}, "--allow destructive --prune"),
        (planned(HARMLESS, also=["incompatible"]), {"incompatible"}, "--allow incompatible"),
        (planned(REMOVED, also=["incompatible"]), {"incompatible", PRUNE}, "--allow incompatible --prune"),
        (
            planned(CHANGED, REMOVED, also=["incompatible"]),
            {"destructive", "incompatible", PRUNE},
            "--allow destructive,incompatible --prune",
        ),
    ],
)
def test_what_goes_wants_prune_and_what_changes_wants_allow(
    plan: dict[str, Any], wanted: set[str], advice: str
) -> None:
    assert Leave().missing(plan) == wanted
    assert Leave().advice([plan]) == advice
    given = Leave(frozenset(wanted - {PRUNE}), PRUNE in wanted)
    assert given.missing(plan) == set()
    assert given.sent_with(plan) == tuple(plan["blocked"])
    for one in wanted:
        less = Leave(given.words - {one}, given.prune and one != PRUNE)
        assert less.missing(plan) == {one}
        assert ("destructive" in less.sent_with(plan)) == ("destructive" in plan["blocked"]) * (
            one == "incompatible"
        )


def test_what_was_given_stands_in_the_one_option_again() -> None:
    plan = planned(CHANGED, REMOVED, also=["incompatible"])
    assert Leave(frozenset({"destructive"})).advice([plan]) == "--allow destructive,incompatible --prune"
    assert Leave(frozenset({"destructive"}), prune=True).advice([plan]) == "--allow destructive,incompatible"
    assert Leave(frozenset({"destructive", "incompatible"})).advice([plan]) == "--prune"


def test_what_several_plans_want_is_said_at_once() -> None:
    plans = [planned(REMOVED), planned(), planned(CHANGED)]
    assert Leave().advice(plans) == "--allow destructive --prune"
    assert Leave(prune=True).advice(plans) == "--allow destructive"


def test_what_is_taken_away_without_being_named_is_no_removal() -> None:
    plan = {"blocked": ["destructive"], "differences": [HARMLESS]}
    assert Leave(prune=True).missing(plan) == {"destructive"}
    assert Leave(prune=True).sent_with(plan) == ()


def test_leave_that_nothing_wants_is_not_sent_but_for_what_others_may_cause_meanwhile() -> None:
    everything = Leave(frozenset({"destructive", "incompatible"}), prune=True)
    assert everything.sent_with(planned(HARMLESS)) == ("incompatible",)


def test_words_are_read_in_any_order_and_others_refused() -> None:
    assert read_leave(" incompatible, destructive,", prune=False).words == {"destructive", "incompatible"}
    for wrong in ("everything", "prune", "destructive incompatible"):
        with pytest.raises(UsageError):
            read_leave(wrong, prune=True)


def allowed(desk: Desk) -> list[tuple[str, str | None]]:
    """The partners whose contracts were really sent, with what the gateway was allowed to do."""
    puts = [one for one in desk.bridge.asked if one.method == "PUT"]
    done = [one.url for one in puts if one.url.params["dry_run"] == "false"]
    return [(url.path.split("/")[3], url.params.get("allow")) for url in done]


async def in_force(desk: Desk, slug: str = "bolt") -> str:
    """The text of the contract in force."""
    return (await desk.run("contract", "show", slug)).out


async def test_a_removal_is_refused_without_prune_whatever_is_allowed(desk: Desk) -> None:
    path = desk.contract()
    await desk.run("apply", "-f", path, "--yes")
    desk.contract(text=SENDS_ONLY)
    words = "mend it, or say --prune if that is meant\n"
    for allow in ((), ("--allow", "destructive"), ("--allow", "destructive,incompatible")):
        looked = await desk.run("plan", "-f", path, *allow)
        assert (looked.code, looked.err) == (6, f"apply would refuse this: {words}")
        refused = await desk.run("apply", "-f", path, "--yes", *allow)
        assert (refused.code, refused.err) == (6, f"refused: {words}")
        told = looked.out.removesuffix("Only planned: nothing was changed yet.\n")
        assert refused.out == f"{told}Nothing was changed.\n" != looked.out
    assert (await desk.run("diff", "-f", path)).code == 6
    assert allowed(desk) == [("bolt", None)]
    assert "order.accepted" in await in_force(desk)
    looked = await desk.run("diff", "-f", path, "--prune", "--json")
    assert (looked.code, looked.err) == (7, "")
    assert looked.document()["blocked"] == ["destructive"]
    assert (await desk.run("apply", "-f", path, "--yes", "--prune")).code == 0
    assert allowed(desk)[1:] == [("bolt", "destructive")]
    assert "order.accepted" not in await in_force(desk)


async def test_another_id_rule_is_refused_with_prune_alone(desk: Desk) -> None:
    path = desk.contract()
    await desk.run("apply", "-f", path, "--yes")
    desk.contract(text=OTHER_ID)
    for given in ((), ("--prune",)):
        refused = await desk.run("apply", "-f", path, "--yes", *given)
        assert (refused.code, refused.err) == (
            6,
            "refused: mend it, or say --allow destructive if that is meant\n",
        )
    desk.contract(text=OTHER_ID.replace(RECEIVES, ""))
    refused = await desk.run("apply", "-f", path, "--yes", "--prune")
    assert "say --allow destructive if that" in refused.err
    assert allowed(desk) == [("bolt", None)]
    assert (await desk.run("apply", "-f", path, "--yes", "--prune", "--allow", "destructive")).code == 0
    assert allowed(desk)[1:] == [("bolt", "destructive")]


async def test_declared_endpoints_and_credentials_go_with_prune_alone(desk: Desk) -> None:
    desk.shell.write("fleet/a.pem", certified().pem)
    path = desk.contract(text=CONTRACT + CERTIFICATE + HOOK)
    assert (await desk.run("apply", "-f", path, "--yes")).code == 0
    desk.contract(text=CONTRACT)
    refused = await desk.run("apply", "-f", path, "--yes", "--allow", "destructive")
    assert (refused.code, "say --prune if" in refused.err) == (6, True)
    assert "- certificate" in refused.out
    assert "- endpoint" in refused.out
    assert (await desk.run("apply", "-f", path, "--yes", "--prune")).code == 0
    listed = (await desk.run("credentials", "list", "-p", "bolt", "--json")).document()["items"]
    assert [one["state"] for one in listed if one["name"] == "contract"] == ["revoked"]
    assert (await desk.run("endpoints", "list", "-p", "bolt", "--json")).document()["items"] == []


async def test_what_is_incompatible_as_well_wants_both(desk: Desk) -> None:
    path = desk.contract()
    await desk.run("apply", "-f", path, "--yes")
    desk.contract(text=SENDS_ONLY)
    grown = json.loads(desk.shell.folder.joinpath("fleet/order.avsc").read_text())
    grown["fields"].append({"name": "place", "type": "string"})
    desk.shell.write("fleet/order.avsc", grown)
    for given, left in (
        ((), "--allow incompatible --prune"),
        (("--allow", "incompatible"), "--prune"),
        (("--prune",), "--allow incompatible"),
        (("--allow", "destructive"), "--allow destructive,incompatible --prune"),
    ):
        refused = await desk.run("apply", "-f", path, "--yes", *given)
        assert (refused.code, refused.err) == (6, f"refused: mend it, or say {left} if that is meant\n")
    both = await desk.run("apply", "-f", path, "--yes", "--allow", "incompatible", "--prune")
    assert both.code == 0
    assert allowed(desk)[1:] == [("bolt", "destructive,incompatible")]


async def test_of_two_contracts_the_one_that_removes_alone_is_sent_with_leave(desk: Desk) -> None:
    first, second = desk.contract("bolt"), desk.contract("cork")
    files = "-f", first, "-f", second
    await desk.run("apply", *files, "--yes")
    desk.contract("bolt", text=CONTRACT + "keep: {content: 100d}\n")
    desk.contract("cork", text=SENDS_ONLY)
    refused = await desk.run("apply", *files, "--yes", "--allow", "destructive")
    assert (refused.code, "say --prune if" in refused.err) == (6, True)
    assert "2 contracts: 2 to change, 1 blocked.\nNothing was changed.\n" in refused.out
    assert "100d" not in await in_force(desk)
    done = await desk.run("apply", *files, "--yes", "--allow", "destructive", "--prune")
    assert (done.code, "2 contracts: 2 to change, 0 blocked." in done.out) == (0, True)
    assert allowed(desk)[2:] == [("bolt", None), ("cork", "destructive")]


async def test_nothing_goes_that_another_operator_agreed_after_the_plan(desk: Desk) -> None:
    path = desk.contract()
    await desk.run("apply", "-f", path, "--yes")
    desk.contract(text=SENDS_ONLY)
    desk.shell.transport = Overtaken(desk.house, BOLT + HOOK)
    ended = await desk.run("apply", "-f", path, "--yes", "--prune")
    assert ended.code == 5
    assert "Look with gateway plan at what it would change now" in ended.err
    desk.shell.transport = desk.bridge
    kept = await in_force(desk)
    assert ("order.accepted" in kept, "name: hook" in kept) == (True, True)
