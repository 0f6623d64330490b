import httpx

from gateway.cli.status import singles, tables
from tests.unit.gateway.cli.conftest import Canned, Desk, Shell


def stop(_: float) -> None:
    raise KeyboardInterrupt


async def test_status_is_a_table_or_the_document(desk: Desk) -> None:
    assert "broker state" in (await desk.run("status")).out
    assert (await desk.run("status", "--json")).document()["broker"]["state"] == "up"


async def test_status_is_for_operators(desk: Desk) -> None:
    assert (await desk.run("status", by="acme")).code == 3


def test_watching_goes_on_until_ctrl_c(shell: Shell) -> None:
    shell.transport, shell.pause = Canned(httpx.Response(200, json={"roles": ["serve"]})), stop
    ended = shell.run("status", "--watch")
    assert (ended.code, "serve" in ended.out, ended.err) == (130, True, "")
    ended = shell.run("status", "--watch", "--json")
    assert (ended.code, ended.document()) == (130, {"roles": ["serve"]})


def test_what_lies_deeper_is_named_by_its_path_and_lists_are_tables() -> None:
    document = {"a": {"b": 1, "c": {}}, "d": [{"e": 2}, {"e": 3, "f": 4}], "g": ["x", "y"]}
    assert singles(document) == {"a b": 1, "a c": {}, "g": ["x", "y"]}
    assert tables(document) == [("d", ["e", "f"], [[2, None], [3, 4]])]
