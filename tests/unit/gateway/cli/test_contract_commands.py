import asyncio
from pathlib import Path

import pytest

from tests.unit.gateway.cli.conftest import Desk, Shell


def test_a_new_contract_explains_itself_and_has_no_problem(shell: Shell, tmp_path: Path) -> None:
    begun = shell.run("contract", "init", "acme", "--dir", str(tmp_path))
    assert begun.code == 0
    assert sorted(begun.out.splitlines()) == sorted(
        str(tmp_path / name) for name in ("acme.yaml", "schemas/order_placed.avsc", "contract.schema.json")
    )
    looked = shell.run("contract", "lint", str(tmp_path / "acme.yaml"))
    assert (looked.code, looked.out) == (0, "acme.yaml: acme, with 1 file: no problem found\n")
    again = shell.run("contract", "init", "acme", "--dir", str(tmp_path))
    assert again.code == 2
    assert "nothing was written" in again.err


def test_a_second_contract_is_begun_beside_the_first_and_shares_its_files(
    shell: Shell, tmp_path: Path
) -> None:
    assert shell.run("contract", "init", "acme", "--dir", str(tmp_path)).code == 0
    begun = shell.run("contract", "init", "globex", "--dir", str(tmp_path))
    assert (begun.code, begun.out) == (0, f"{tmp_path / 'globex.yaml'}\n")
    assert shell.run("contract", "lint", str(tmp_path)).code == 0


def test_what_another_contract_made_of_a_shared_file_is_left_alone(shell: Shell, tmp_path: Path) -> None:
    shell.run("contract", "init", "acme", "--dir", str(tmp_path))
    (tmp_path / "schemas/order_placed.avsc").write_text("mine")
    refused = shell.run("contract", "init", "globex", "--dir", str(tmp_path))
    assert refused.code == 2
    assert f"schemas/order_placed.avsc in {tmp_path}: there already; nothing was written" in refused.err
    assert "--dir" in refused.err
    assert not (tmp_path / "globex.yaml").exists()


@pytest.mark.parametrize("slug", ["123", "true", "null", "1e5"])
def test_a_slug_that_yaml_would_read_otherwise_is_one(shell: Shell, tmp_path: Path, slug: str) -> None:
    assert shell.run("contract", "init", slug, "--dir", str(tmp_path)).code == 0
    assert shell.run("contract", "lint", str(tmp_path)).code == 0


def test_a_slug_that_is_none_makes_no_file(shell: Shell, tmp_path: Path) -> None:
    ended = shell.run("contract", "init", "../acme", "--dir", str(tmp_path))
    assert ended.code == 2
    assert list(tmp_path.iterdir()) == []


def test_every_line_of_a_new_contract_can_be_taken_into_use(shell: Shell, tmp_path: Path) -> None:
    shell.run("contract", "init", "acme", "--dir", str(tmp_path))
    path = tmp_path / "acme.yaml"
    words = path.read_text()
    used = [one.replace("# ", "", 1) if one.lstrip().startswith("# ") else one for one in words.splitlines()]
    head = next(at for at, one in enumerate(used) if one.startswith("gateway:"))
    path.write_text("\n".join(used[head:]) + "\n")
    schema = tmp_path / "schemas/order_placed.avsc"
    schema.with_name("order_accepted.avsc").write_text(schema.read_text())
    ended = shell.run("contract", "lint", str(path))
    assert ended.code == 0, ended.err


def test_lint_tells_of_every_problem_of_contracts_and_of_their_schemas(shell: Shell, tmp_path: Path) -> None:
    shell.run("contract", "init", "acme", "--dir", str(tmp_path))
    (tmp_path / "schemas/order_placed.avsc").write_text(
        '{"type":"record","name":"R","fields":[{"name":"x"}]}'
    )
    ended = shell.run("contract", "lint", str(tmp_path))
    assert ended.code == 6
    assert "schemas/order_placed.avsc" in ended.err
    assert "/fields/0" in ended.err


UNFIT = """\
gateway: v1
partner: bolt
sends:
  order.placed: {schema: order.avsc, id: /nowhere}
  order.changed: {schema: order.avsc, id: /order_id}
  order.gone: {schema: o.json, id: /order_id}
"""
UNFILTERED = """\
gateway: v1
partner: bolt
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
endpoints:
  declared: [{name: hook, url: "https://hooks.bolt.example/in", filter: {pointer: /nothing, exists: true}}]
"""


async def test_lint_finds_what_plan_would_refuse_of_a_contract_by_itself(desk: Desk) -> None:
    path = desk.contract(text=UNFIT)
    desk.shell.write("fleet/o.json", '{"type":"record","name":"R","fields":[{"name":"x"}]}')
    alone, planned = await desk.run("contract", "lint", path), await desk.run("plan", "-f", path)
    for ended in (alone, planned):
        assert ended.code == 6
        for words in ("/nowhere", "both use the schema", "o.json:1: /fields/0"):
            assert words in ended.err, words
    assert "contract_invalid: 3 problems" in alone.err


async def test_lint_tries_filters_against_the_schemas(desk: Desk) -> None:
    path = desk.contract(text=UNFILTERED)
    alone, planned = await desk.run("contract", "lint", path), await desk.run("plan", "-f", path)
    for ended in (alone, planned):
        assert (ended.code, "/endpoints/declared/0/filter/pointer" in ended.err) == (6, True)


async def test_lint_and_plan_say_what_has_no_effect(desk: Desk) -> None:
    plain = await asyncio.to_thread(Path(desk.contract()).read_text)
    path = desk.contract(text=plain + "limits: {event_bytes: 4MiB}\n")
    words = "  ? limits.event_bytes 4194304: a record holds 1000000 bytes at most"
    for command in (("contract", "lint", path), ("plan", "-f", path)):
        ended = await desk.run(*command)
        assert (ended.code, words in ended.out) == (0, True), command
    await desk.run("apply", "-f", path, "--yes")
    assert words in (await desk.run("plan", "-f", path)).out
    (item,) = (await desk.run("contract", "lint", path, "--json")).document()["items"]
    assert [note.startswith("? limits.event_bytes") for note in item["notes"]] == [True]


async def test_what_is_in_force_is_pulled_linted_and_no_change(desk: Desk, tmp_path: Path) -> None:
    await desk.run("apply", "-f", desk.contract(), "--yes")
    folder = tmp_path / "pulled"
    pulled = await desk.run("contract", "pull", "bolt", "--dir", str(folder))
    assert pulled.code == 0
    assert (await desk.run("contract", "lint", str(folder))).code == 0
    assert (await desk.run("diff", "-f", str(folder))).code == 0
    await asyncio.to_thread((folder / "order.avsc").write_text, "mine")
    asked = await desk.run("contract", "pull", "bolt", "--dir", str(folder))
    assert asked.code == 2
    assert await asyncio.to_thread((folder / "order.avsc").read_text) == "mine"
    assert (await desk.run("contract", "pull", "bolt", "--dir", str(folder), "--yes")).code == 0
    assert await asyncio.to_thread((folder / "order.avsc").read_text) != "mine"


async def test_every_revision_can_be_listed_and_shown(desk: Desk) -> None:
    path = desk.contract()
    first = await asyncio.to_thread(Path(path).read_text)
    await desk.run("apply", "-f", path, "--yes")
    await asyncio.to_thread(Path(path).write_text, first + "limits: {streams: 3}\n")
    await desk.run("apply", "-f", path, "--yes")
    listed = (await desk.run("contract", "revisions", "bolt", "--json")).document()["items"]
    assert [one["revision"] for one in listed] == [2, 1]
    assert all(one["applied_by"].startswith("crd_") for one in listed)
    table = (await desk.run("contract", "revisions", "bolt")).out
    assert "applied_by" in table
    assert listed[0]["sha256"][:12] in table.replace("\n", "")
    assert (await desk.run("contract", "show", "bolt", "--revision", "1")).out == first
    assert "streams: 3" in (await desk.run("contract", "show", "bolt")).out
    assert (await desk.run("contract", "show", "bolt", "--revision", "9")).code == 4


async def test_a_partner_reads_its_own_contract_by_its_own_key(desk: Desk, tmp_path: Path) -> None:
    for line in (("show", "acme"), ("show", "acme", "--revision", "1"), ("revisions", "acme", "--json")):
        by_operator = await desk.run("contract", *line)
        by_partner = await desk.run("contract", *line, by="acme")
        assert (by_partner.code, by_partner.err) == (0, ""), line
        assert by_partner.out == by_operator.out, line
    pulled = await desk.run("contract", "pull", "acme", "--dir", str(tmp_path / "mine"), by="acme")
    assert (pulled.code, pulled.err) == (0, "")
    await desk.run("apply", "-f", desk.contract(), "--yes")
    for line in (("show", "bolt"), ("revisions", "bolt"), ("pull", "bolt")):
        assert (await desk.run("contract", *line, by="acme")).code == 4, line


@pytest.mark.parametrize("revision", ["0", "-1", "9" * 12, "x"])
async def test_a_revision_that_cannot_be_is_not_found_or_refused(desk: Desk, revision: str) -> None:
    await desk.run("apply", "-f", desk.contract(), "--yes")
    assert (await desk.run("contract", "show", "bolt", "--revision", revision)).code in {2, 4}
