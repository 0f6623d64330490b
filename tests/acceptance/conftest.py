"""A gateway of its own for each test that asks for one; its process ends with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.running import Gateway


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A folder and a port; nothing runs yet."""
    one = Gateway(tmp_path / "data")
    yield one
    one.kill()
