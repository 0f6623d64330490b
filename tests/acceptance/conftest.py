"""A gateway of its own for each test that asks for one, on each stack; its process ends with the test."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.running import Gateway
from tests.acceptance.stacks import STACKS, Stack, open_stack


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Where the gateway of this test keeps its things."""
    with ExitStack() as held:
        yield open_stack(request, held)


@pytest.fixture
def gateway(tmp_path: Path, stack: Stack) -> Iterator[Gateway]:
    """A folder and a port; nothing runs yet. What it wrote last is shown where the test fails."""
    one = Gateway(tmp_path / "data", stack=stack)
    yield one
    one.kill()
    sys.stderr.write(one.said())
