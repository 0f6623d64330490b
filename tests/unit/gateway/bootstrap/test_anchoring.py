"""The policy of witnesses, as an operator names it."""

from pathlib import Path

import pytest

from gateway.bootstrap.anchoring import load_policy
from gateway.bootstrap.witness import by_origin
from gateway.errors import SetupError
from tests.unit.audit.anchors import ANCHOR, WITNESSES
from tests.unit.gateway.witness.submissions import LOGS


def test_a_policy_is_read_and_none_is_none(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text(f"witness w {WITNESSES[0].key} https://w.example\nquorum w\n")
    found = load_policy(tmp_path / "policy")
    assert found is not None
    assert [one.url for one in found.witnesses] == ["https://w.example"]
    assert load_policy(None) is None


def test_a_policy_that_is_none_refuses_the_start_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("quorum w\n")
    with pytest.raises(SetupError, match=r"audit\.witness_policy: .*policy: policy: line 1"):
        load_policy(tmp_path / "policy")
    with pytest.raises(SetupError, match="cannot be read"):
        load_policy(tmp_path / "missing")


def test_two_keys_of_one_log_stand_under_its_name() -> None:
    ((origin, (key,)),) = LOGS.items()
    assert by_origin([key, key]) == {origin: [key, key]}
    assert ANCHOR not in by_origin([key])
