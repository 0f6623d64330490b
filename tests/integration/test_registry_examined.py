"""What the doctor says of an external registry: a real one, one that refuses us, one that is none."""

import asyncio
from pathlib import Path

import pytest

from gateway.bootstrap.registry_look import examine_registry
from gateway.doctor.finding import Finding, Level
from gateway.settings_sources import load
from schemas.remote import Patience
from tests.external_registry import open_library
from tests.world import make_settings

ONCE = Patience(connect=30, read=30, whole=60, rounds=1)
"""Whatever is asked here answers; how soon must not matter."""


async def examined(folder: Path, flags: dict[str, str]) -> list[Finding]:
    settings = make_settings(folder, flags)
    return await asyncio.get_running_loop().run_in_executor(
        None, lambda: list(examine_registry(settings, ONCE))
    )


async def test_a_registry_is_asked_for_health_and_mode(tmp_path: Path) -> None:
    async with open_library(tmp_path / "library") as library:
        (well,) = await examined(tmp_path, library.flags(tmp_path))
        assert (well.level, library.url in well.what) == (Level.OK, True)
        (denied,) = await examined(tmp_path, library.flags(tmp_path, "gw_wrong"))
        assert (denied.level, "gw_wrong" in denied.what) == (Level.FAULT, False)
        assert "basic.auth.user.info" in denied.mend
        await library.ask("PUT /mode", {"mode": "READONLY"})
        (closed,) = await examined(tmp_path, library.flags(tmp_path))
        assert (closed.level, "READONLY" in closed.what, "PUT /mode" in closed.mend) == (
            Level.FAULT,
            True,
            True,
        )
        library.is_away = True
        (away,) = await examined(tmp_path, library.flags(tmp_path))
        assert (away.level, "does not answer" in away.what) == (Level.FAULT, True)
        library.is_away = False
        elsewhere = {"GATEWAY_REGISTRY__URL": library.url.removesuffix("/registry")}
        settings = load(flags={"data": str(tmp_path)}, environ=elsewhere, file=None).settings
        loop = asyncio.get_running_loop()
        (other,) = await loop.run_in_executor(None, lambda: list(examine_registry(settings, ONCE)))
        assert (other.level, "does not answer as a schema registry" in other.what) == (Level.FAULT, True)


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        ("basic.auth.user.info=geheim\n", Level.FAULT, "USER:PASSWORD"),
        ("schema.registry.url=https://r.example\nssl.ca.location=/none.pem\n", Level.FAULT, "PEM"),
    ],
)
async def test_a_file_that_cannot_be_used_is_a_finding(
    tmp_path: Path, text: str, level: Level, words: str
) -> None:
    (tmp_path / "client.properties").write_text(text)
    (told,) = await examined(tmp_path, {"registry.properties_file": str(tmp_path / "client.properties")})
    assert (told.level, words in told.what, "geheim" in told.what) == (level, True, False)


async def test_the_own_registry_is_not_asked(tmp_path: Path) -> None:
    (own,) = await examined(tmp_path, {})
    assert own.level is Level.OK
