import compileall
from pathlib import Path

import pytest

from tests.unit.gateway.cli.conftest import Desk

SERVERS = ("--servers", "kafka.example:9092")


async def test_a_team_gets_its_properties_and_no_key(desk: Desk) -> None:
    ended = await desk.run("kafka", "config", "acme", *SERVERS, by="team")
    lines = ended.out.splitlines()
    assert "bootstrap.servers=kafka.example:9092" in lines
    assert "partners.acme.inbound" in lines[0]
    assert "partners.acme.outbound" in lines[0]
    assert any(line.startswith("schema.registry.url=") and line.endswith("/registry") for line in lines)
    assert desk.house.keys["team"] not in ended.out + ended.err
    assert "KEY_OF_THE_TEAM" in ended.err


async def test_the_program_in_python_is_one(desk: Desk, tmp_path: Path) -> None:
    ended = await desk.run("kafka", "config", "acme", *SERVERS, "--format", "python", by="team")
    file = tmp_path / "reader.py"
    file.write_text(ended.out)
    assert compileall.compile_file(file, quiet=1)
    assert "partners.acme.inbound" in ended.out


async def test_java_has_both_ends(desk: Desk) -> None:
    ended = await desk.run("kafka", "config", "acme", *SERVERS, "--format", "java", by="operator")
    assert "KafkaAvroSerializer" in ended.out
    assert "partners.acme.outbound" in ended.out


@pytest.mark.parametrize(
    ("arguments", "by", "code", "words"),
    [
        (("acme",), "team", 2, "--servers"),
        (("acme", *SERVERS, "--format", "xml"), "team", 2, "properties, python, java"),
        (("nobody", *SERVERS), "team", 4, "not_found"),
    ],
)
async def test_what_is_wrong_is_told(
    desk: Desk, arguments: tuple[str, ...], by: str, code: int, words: str
) -> None:
    ended = await desk.run("kafka", "config", *arguments, by=by)
    assert ended.code == code
    assert words in ended.out + ended.err


async def test_a_partner_has_no_kafka(desk: Desk) -> None:
    ended = await desk.run("kafka", "config", "acme", *SERVERS, by="acme")
    assert ended.code != 0
    assert "partners.acme.inbound" not in ended.out
