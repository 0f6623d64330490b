from pathlib import Path

import httpx

from tests.unit.gateway.cli.conftest import Desk, Overtaken, Shell
from tests.world import CONTRACT, ORDER

BROKEN = "gateway: v1\npartner: bolt\nsends:\n  order.placed: {schema: order.avsc, idd: /x}\n"
WITH_HOOK = """\
gateway: v1
partner: bolt
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
endpoints:
  verification: none
  declared: [{name: hook, url: "http://127.0.0.1:9/hook"}]
"""


async def test_plan_tells_changes_and_changes_nothing(desk: Desk) -> None:
    ended = await desk.run("plan", "-f", desk.contract())
    assert ended.code == 0
    assert "bolt   contract 1 (new partner)" in ended.out
    assert ended.out.endswith("\nOnly planned: nothing was changed yet.\n")
    assert (await desk.run("partners", "show", "bolt")).code == 4


async def test_diff_ends_with_7_until_it_is_applied(desk: Desk) -> None:
    path = desk.contract()
    assert (await desk.run("diff", "-f", path)).code == 7
    assert (await desk.run("apply", "-f", path, "--yes")).code == 0
    assert (await desk.run("diff", "-f", path)).code == 0


async def test_what_is_in_force_already_is_nothing_to_change(desk: Desk) -> None:
    path = desk.contract()
    await desk.run("apply", "-f", path, "--yes")
    for words in (("plan",), ("diff",), ("apply", "--yes")):
        ended = await desk.run(*words, "-f", path)
        assert (ended.code, ended.out) == (0, "bolt   contract 1: no change\nNothing to change.\n"), words


async def test_a_new_partner_without_any_type_is_a_change(desk: Desk) -> None:
    path = desk.contract(text="gateway: v1\npartner: acme\n")
    ended = await desk.run("diff", "-f", path)
    assert ended.code == 7
    assert ended.out.startswith("bolt   contract 1 (new partner)\n")
    assert "no change" not in ended.out


async def test_json_is_the_document_of_the_api(desk: Desk) -> None:
    document = (await desk.run("plan", "-f", desk.contract(), "--json")).document()
    assert (document["partner"], document["changed"], document["dry_run"]) == ("bolt", True, True)


async def test_a_folder_is_a_fleet_with_sums(desk: Desk) -> None:
    desk.contract("bolt")
    folder = str(Path(desk.contract("cork")).parent)
    planned = await desk.run("plan", "-f", folder)
    assert "2 contracts: 2 to change, 0 blocked." in planned.out
    applied = await desk.run("apply", "-f", folder, "--yes", "--json")
    assert [one["partner"] for one in applied.document()["items"]] == ["bolt", "cork"]


async def test_a_folder_names_whom_it_has_no_file_of_and_changes_nothing_of_them(desk: Desk) -> None:
    file = desk.contract("bolt")
    folder = str(Path(file).parent)
    words = (
        "in force without a file here: acme. "
        "Nothing of it changes; gateway partners close ends with a partner.\n"
    )
    for line in (("plan",), ("diff",), ("apply", "--dry-run")):
        assert (await desk.run(*line, "-f", folder)).err == words, line
        assert (await desk.run(*line, "-f", folder, "--quiet")).err == "", line
        assert (await desk.run(*line, "-f", file)).err == "", line
        shown = await desk.run(*line, "-f", folder, "--json")
        assert (shown.document()["partner"], shown.document()["without_file"]) == ("bolt", ["acme"]), line
        assert "without_file" not in (await desk.run(*line, "-f", file, "--json")).document(), line
    applied = await desk.run("apply", "-f", folder, "--yes", "--prune", "--allow", "destructive", "--json")
    assert (applied.err, applied.document()["without_file"]) == (words, ["acme"])
    shown = (await desk.run("partners", "show", "acme", "--json")).document()
    assert (shown["contract"], shown["state"]) == (1, "active")


async def test_closed_partners_and_those_of_another_folder_given_miss_no_file(desk: Desk) -> None:
    folder = str(Path(desk.contract("bolt")).parent)
    other = str(Path(desk.contract("acme", "others")).parent)
    both = (await desk.run("plan", "-f", folder, "-f", other, "--json")).document()
    assert (len(both["items"]), both["without_file"]) == (2, [])
    await desk.run("partners", "suspend", "acme", "--reason", "unpaid")
    assert "here: acme." in (await desk.run("plan", "-f", folder)).err
    await desk.run("partners", "close", "acme", "--reason", "ended", "--yes")
    closed = await desk.run("plan", "-f", folder)
    assert (closed.code, closed.err) == (0, "")


async def test_what_a_contract_may_have_with_its_files_can_be_sent(desk: Desk) -> None:
    fields = [{"name": f"field_{one}", "type": "string", "doc": 'said "so"' * 9} for one in range(800)]
    lines = "gateway: v1\npartner: acme\nsends:\n"
    for number in range(12):
        schema = {"type": "record", "name": f"Wide{number}", "fields": fields}
        desk.shell.write(f"fleet/wide{number}.avsc", schema)
        lines += f"  wide.number{number}: {{schema: wide{number}.avsc, id: /field_0}}\n"
    path = desk.contract(text=lines)
    for command in (("contract", "lint", path), ("plan", "-f", path), ("apply", "--yes", "-f", path)):
        ended = await desk.run(*command)
        assert (ended.code, ended.err) == (0, ""), command
    assert max(len(one.content) for one in desk.bridge.asked) > 2**20
    assert (await desk.run("diff", "-f", path)).code == 0


async def test_a_plan_tells_what_becomes_of_each_schema(desk: Desk) -> None:
    path = desk.contract()
    await desk.run("apply", "-f", path, "--yes")
    fields = [*ORDER["fields"][:-1], {"name": "currency", "type": "string", "default": "EUR"}]
    desk.shell.write("fleet/order.avsc", {**ORDER, "fields": fields})
    fine = await desk.run("plan", "-f", path)
    assert fine.out.startswith(
        "bolt   contract 1 -> 2\n"
        "  ~ sends    order.placed  v1 -> v2  BACKWARD ok\n"
        '      + /currency  string, default "EUR"\n'
        "      - /qty  int\n"
    )
    assert "  ! receives order.accepted  v1 -> v2  FORWARD broken\n" in fine.out
    assert "\n1 to change, 1 blocked.\n" in fine.out
    asked = (await desk.run("plan", "-f", path, "--json")).document()
    sends, receives = (one["schema"] for one in asked["differences"])
    assert sends == {
        "from": 1,
        "to": 2,
        "compatibility": "BACKWARD",
        "broken": False,
        "fields": [
            {"sign": "+", "pointer": "/currency", "was": None, "now": 'string, default "EUR"'},
            {"sign": "-", "pointer": "/qty", "was": "int", "now": None},
        ],
        "more": False,
    }
    assert (receives["compatibility"], receives["broken"]) == ("FORWARD", True)
    done = await desk.run("apply", "-f", path, "--yes", "--allow", "incompatible", "--json")
    assert done.document()["differences"][0]["schema"] == sends
    fields += [{"name": f"more_{number}", "type": "int", "default": 0} for number in range(501)]
    desk.shell.write("fleet/order.avsc", {**ORDER, "fields": fields})
    assert "\n      and more than 460 more\n" in (await desk.run("plan", "-f", path)).out
    desk.shell.write("fleet/order.avsc", ORDER)
    assert "v2 -> v1  BACKWARD broken" in (await desk.run("plan", "-f", path)).out


async def test_two_files_of_one_partner_are_refused_whatever_their_folders(desk: Desk) -> None:
    one, other = desk.contract("bolt", "here"), desk.contract("bolt", "there")
    ended = await desk.run("plan", "-f", str(Path(one).parent), "-f", other)
    assert ended.code == 2
    assert f"{one} and {other} are both of the partner bolt: keep one" in ended.err
    twice = await desk.run("plan", "-f", one, "-f", str(Path(one).parent))
    assert (twice.code, twice.out.count("new partner")) == (0, 1)


class Crowd(httpx.BaseTransport):
    """A gateway with very many partners, one of them without a contract; every contract is in force."""

    def __init__(self, partners: int) -> None:
        self.asked: list[httpx.Request] = []
        slugs = [f"p{number:04}" for number in range(partners)]
        self._items = [{"slug": one, "state": "active", "contract": 1} for one in slugs]
        self._items[-1]["contract"] = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.method == "PUT":
            slug = request.url.path.split("/")[3]
            plan = {"partner": slug, "plan": f"{slug}: no change", "changed": False, "blocked": []}
            return httpx.Response(200, json=plan)
        after, most = int(request.url.params.get("cursor") or 0), int(request.url.params["limit"])
        there = after + most < len(self._items)
        page = {"items": self._items[after : after + most], "next": str(after + most) if there else None}
        return httpx.Response(200, json=page)


def test_a_thousand_partners_are_listed_in_one_request_and_named_in_one_line(shell: Shell) -> None:
    shell.write("p0003.yaml", "gateway: v1\npartner: p0003\n")
    crowd = shell.transport = Crowd(1_000)
    around = "-f", str(shell.folder), "--url", "http://127.0.0.1:8080"
    ended = shell.run("plan", *around)
    assert ended.code == 0
    assert "here: p0000, p0001, p0002, p0004, " in ended.err
    assert ", p0010 and 988 more. Nothing of it changes" in ended.err
    assert sorted(one.method for one in crowd.asked) == ["GET", "PUT"]
    names = shell.run("plan", *around, "--json").document()["without_file"]
    assert (len(names), "p0003" in names, "p0999" in names) == (998, False, False)
    shell.transport = Crowd(2_001)
    assert len(shell.run("plan", *around, "--json").document()["without_file"]) == 1_999


async def test_apply_asks_and_takes_no_for_an_answer(desk: Desk) -> None:
    ended = await desk.run("apply", "-f", desk.contract())
    assert ended.code == 2
    assert "--yes" in ended.err
    assert (await desk.run("partners", "show", "bolt")).code == 4


async def test_apply_dry_run_is_a_plan(desk: Desk) -> None:
    ended = await desk.run("apply", "-f", desk.contract(), "--dry-run", "--yes")
    assert (ended.code, "nothing was changed yet" in ended.out) == (0, True)
    assert (await desk.run("partners", "show", "bolt")).code == 4


async def test_apply_sends_the_revision_that_it_has_planned_against(desk: Desk) -> None:
    path = desk.contract()
    await desk.run("apply", "-f", path, "--yes")
    assert desk.bridge.asked[-1].headers["if-none-match"] == "*"
    desk.shell.write("fleet/bolt.yaml", CONTRACT.replace("acme", "bolt") + "keep: {content: 100d}\n")
    assert (await desk.run("apply", "-f", path, "--yes")).code == 0
    assert desk.bridge.asked[-1].headers["if-match"] == '"1"'


async def test_apply_is_refused_where_another_operator_was_quicker(desk: Desk) -> None:
    path = desk.contract()
    await desk.run("apply", "-f", path, "--yes")
    desk.shell.write("fleet/bolt.yaml", CONTRACT.replace("acme", "bolt") + "keep: {content: 100d}\n")
    quicker = CONTRACT.replace("acme", "bolt").replace("Acme GmbH", "Bolt")
    desk.shell.transport = Overtaken(desk.house, quicker)
    ended = await desk.run("apply", "-f", path, "--yes")
    assert ended.code == 5
    assert "The contract is at revision 2, not 1" in ended.err
    assert "Look with gateway plan at what it would change now, then repeat the command." in ended.err
    desk.shell.transport = desk.bridge
    planned = await desk.run("plan", "-f", path)
    assert "contract 2 -> 3" in planned.out
    assert "name Bolt -> Acme GmbH" in planned.out


async def test_a_secret_is_shown_once(desk: Desk) -> None:
    path = desk.contract(text=WITH_HOOK)
    assert "whsec_" in (await desk.run("apply", "-f", path, "--yes")).out
    assert "whsec_" not in (await desk.run("apply", "-f", path, "--yes")).out


async def test_a_secret_goes_to_a_file_of_its_owner_and_nowhere_else(desk: Desk) -> None:
    path, secrets = desk.contract(text=WITH_HOOK), desk.shell.folder / "secrets"
    ended = await desk.run("apply", "-f", path, "--yes", "--json", "--secrets-file", str(secrets))
    assert "whsec_" not in ended.out + ended.err
    assert secrets.read_text().startswith("bolt hook whsec_")
    assert secrets.stat().st_mode & 0o777 == 0o600


async def test_no_secrets_file_is_left_where_there_is_no_secret(desk: Desk) -> None:
    secrets = desk.shell.folder / "secrets"
    ended = await desk.run("apply", "-f", desk.contract(), "--yes", "--secrets-file", str(secrets))
    assert (ended.code, secrets.exists()) == (0, False)


async def test_a_secrets_file_that_holds_something_is_left_alone(desk: Desk) -> None:
    secrets = desk.shell.write("secrets", "older")
    ended = await desk.run(
        "apply", "-f", desk.contract(text=WITH_HOOK), "--yes", "--secrets-file", str(secrets)
    )
    assert (ended.code, secrets.read_text()) == (2, "older")
    assert (await desk.run("partners", "show", "bolt")).code == 4


async def test_a_secrets_file_of_before_does_not_hinder_what_makes_no_secret(desk: Desk) -> None:
    path, secrets = desk.contract(text=WITH_HOOK), desk.shell.folder / "secrets"
    assert (await desk.run("apply", "-f", path, "--yes", "--secrets-file", str(secrets))).code == 0
    before = secrets.read_text()
    path = desk.contract(text=WITH_HOOK + "name: Bolt AG\n")
    again = await desk.run("apply", "-f", path, "--yes", "--secrets-file", str(secrets))
    assert (again.code, secrets.read_text()) == (0, before), again.err


async def test_a_fault_that_only_the_gateway_finds_has_its_place(desk: Desk) -> None:
    path = desk.contract()
    desk.shell.write("fleet/order.avsc", {"type": "record", "name": "Order", "fields": []})
    ended = await desk.run("plan", "-f", path)
    assert ended.code == 6
    assert "contract_invalid" in ended.err
    assert "bolt.yaml:5: /sends/order.placed" in ended.err


def test_a_fault_of_the_file_is_told_before_anything_is_sent(shell: Shell) -> None:
    shell.write("order.avsc", "{}")
    path = shell.write("bolt.yaml", BROKEN)
    ended = shell.run("plan", "-f", str(path))
    assert ended.code == 6
    assert f"{path}:4: /sends/order.placed/idd:" in ended.err


def test_faults_of_all_files_come_at_once(shell: Shell) -> None:
    shell.write("a.yaml", BROKEN)
    shell.write("b.yaml", "gateway: v1\n")
    ended = shell.run("plan", "-f", str(shell.folder))
    assert "a.yaml:4" in ended.err
    assert "b.yaml:1" in ended.err


def test_two_files_of_one_partner_are_refused(shell: Shell) -> None:
    for name in ("a.yaml", "b.yaml"):
        shell.write(name, "gateway: v1\npartner: bolt\n")
    ended = shell.run("plan", "-f", str(shell.folder))
    assert (ended.code, "both of the partner bolt" in ended.err) == (2, True)


def test_a_missing_file_is_a_usage_error(shell: Shell) -> None:
    assert shell.run("plan", "-f", "nowhere.yaml").code == 2


def test_an_unknown_word_to_allow_is_refused(shell: Shell) -> None:
    path = shell.write("bolt.yaml", "gateway: v1\npartner: bolt\n")
    assert shell.run("plan", "-f", str(path), "--allow", "everything").code == 2
