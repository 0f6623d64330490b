"""What the doctor says of witnesses: nothing where there are none."""

from pathlib import Path

import pytest

from gateway.bootstrap.witness_look import examine_witnesses
from gateway.doctor.finding import Finding, Level
from gateway.settings import Settings
from tests.unit.audit.anchors import WITNESSES
from tests.world import make_settings

LINES = f"witness near {WITNESSES[0].key} https://w.example\nwitness far {WITNESSES[1].key}\nquorum near\n"


@pytest.fixture
def settings(tmp_path: Path, migrated_file: Path) -> Settings:
    (tmp_path / "gateway.db").write_bytes(migrated_file.read_bytes())
    (tmp_path / "policy").write_text(LINES)
    return make_settings(tmp_path, {"audit.witness_policy": str(tmp_path / "policy")})


def found(settings: Settings) -> list[Finding]:
    return list(examine_witnesses(settings))


def test_without_a_policy_nothing_is_said(tmp_path: Path) -> None:
    assert found(make_settings(tmp_path)) == []


def test_a_witness_without_an_address_is_told(settings: Settings) -> None:
    first, second = found(settings)
    assert (first.level, first.what) == (Level.WARNING, "nobody asks far: the policy has no address")
    assert second.level is Level.OK


def test_a_policy_that_is_none_is_a_fault(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("believe everybody\n")
    (one,) = found(settings)
    assert one.level is Level.FAULT
    assert "line 1" in one.what


def test_a_database_that_is_not_set_up_is_not_asked(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "gateway.db").unlink()
    (one,) = found(settings)
    assert one.level is Level.NOT_ASKED
